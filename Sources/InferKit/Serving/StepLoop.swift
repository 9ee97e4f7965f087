import Engine

/// The scheduler's thread: admits jobs, runs steps, lets finished jobs go.
final class StepLoop {
    private let languageModel: GGUFLanguageModel
    private let model: Model
    private let limits: Scheduler.Limits
    private let contextLength: Int
    private let inbox: JobInbox
    private let meter: ServingMeter
    private let log: @Sendable (String) -> Void

    private let batch: Batch
    private let work: Workspace
    private var waiting: [Ticket] = []
    private var slots: [ServingSlot] = []
    private var idleStates: [SequenceState] = []
    private var cache: PrefixCache
    private let checkpointBytes: Int
    private var pacer: ChunkPacer
    private var embedder: Embedder?

    init(
        _ languageModel: GGUFLanguageModel, _ model: Model, limits: Scheduler.Limits, inbox: JobInbox,
        meter: ServingMeter,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        self.languageModel = languageModel
        self.model = model
        self.limits = limits
        self.inbox = inbox
        self.meter = meter
        self.log = log
        contextLength = try model.servedContextLength()
        let rows = model.options.batchSize
        batch = Batch(capacity: rows + limits.parallel, maximumSegments: limits.parallel)
        work = Workspace(bytes: min(model.memory(contextLength: contextLength).scratch, 1 << 32))
        pacer = ChunkPacer(most: rows)
        let state = try model.makeSequence(contextLength: contextLength)
        idleStates = [state]
        checkpointBytes = state.checkpointBytes
        cache = PrefixCache(model.stateLayout, checkpointBytes: checkpointBytes, budget: limits.cacheBytes)
    }

    func run() {
        openCacheFolder()
        while let arrived = inbox.take(waits: slots.isEmpty && waiting.isEmpty) {
            waiting += arrived
            runTask()
            if inbox.isAbandoned { abandon() }
            let now = ContinuousClock.now
            for slot in slots { slot.checkLimits(now) }
            dropWaiting(now)
            removeFinished()
            admit()
            step()
            removeFinished()
            meter.update(running: slots.count, cacheBytes: cache.bytes)
        }
        cache.saveAll()
    }

    // MARK: Coming and going

    private func abandon() {
        for slot in slots { slot.finish(.shutDown) }
        for ticket in waiting { ticket.finish(.shutDown) }
        inbox.didStart(waiting.count)
        waiting = []
    }

    private func dropWaiting(_ now: ContinuousClock.Instant) {
        let before = waiting.count
        waiting.removeAll { ticket in
            let isCancelled = ticket.flag.isSet
            guard isCancelled || ticket.job.deadline.map({ $0 <= now }) ?? false else { return false }
            ticket.finish(isCancelled ? .cancelled : .timedOut)
            return true
        }
        if waiting.count < before { inbox.didStart(before - waiting.count) }
    }

    private func removeFinished() {
        guard slots.contains(where: { $0.result != nil }) else { return }
        for slot in slots {
            guard let result = slot.result else { continue }
            remember(slot)
            slot.state.reset()
            slot.state.isLong = false
            idleStates.append(slot.state)
            meter.finished(result)
        }
        slots.removeAll { $0.result != nil }
    }

    /// Long sequences are computed in another way, and would be found by short ones.
    private func remember(_ slot: ServingSlot) {
        if !slot.state.isLong { cache.insert(slot.tokens, from: slot.state) }
    }

    private func admit() {
        var index = 0
        while index < waiting.count, slots.count < limits.parallel {
            let ticket = waiting[index]
            let job = ticket.job
            let isScored = job.promptScoreAlternatives != nil
            let isLong = model.architecture.longContext.map { job.tokens.count > $0 } ?? false
            let match =
                isScored || isLong ? PrefixCache.Match() : cache.longestMatch(job.tokens, limit: job.tokens.count - 1)
            if !isScored, isBeingComputed(job, beyond: match.count) {
                index += 1
                continue
            }
            guard let state = readyState() else {
                // Others will give theirs back; with nobody running there is no hope.
                guard slots.isEmpty else { return }
                waiting.remove(at: index)
                inbox.didStart(1)
                ticket.finish(.failed("there is no memory for the state of another sequence"))
                continue
            }
            waiting.remove(at: index)
            inbox.didStart(1)
            cache.restore(match, into: state)
            slots.append(
                ServingSlot(
                    ticket, state: state, cuts: cuts(of: job), model: languageModel,
                    longContext: model.architecture.longContext))
            meter.started(promptTokens: job.tokens.count, cachedTokens: match.count)
            log(cacheLine(job, match, isScored))
        }
    }

    private func cacheLine(_ job: ServingJob, _ match: PrefixCache.Match, _ isScored: Bool) -> String {
        let why: String
        if match.count > 0 {
            why = ""
        } else if isScored {
            why = " (scores of the prompt were asked for)"
        } else if cache.budget == 0 {
            why = " (the cache is off)"
        } else if model.stateLayout.needsCheckpoints {
            why = " (no state is kept for a beginning of it)"
        } else {
            why = " (no other prompt began like it)"
        }
        return "\(job.id) started: \(job.tokens.count) prompt tokens, \(match.count) cached\(why)"
    }

    /// Whether another job is about to compute more of this prompt's beginning than is known: then it is quicker to
    /// wait.
    private func isBeingComputed(_ job: ServingJob, beyond known: Int) -> Bool {
        slots.contains { slot in
            guard slot.result == nil, slot.remainingPrompt > 0 else { return false }
            var common = 0
            let most = min(slot.job.tokens.count, job.tokens.count - 1)
            while common < most, slot.job.tokens[common] == job.tokens[common] { common += 1 }
            let usable = cuts(of: slot.job).filter { $0 <= common }.max() ?? 0
            return usable > slot.state.count && usable >= known + 32
        }
    }

    /// Prompt lengths at which the state is remembered.
    private func cuts(of job: ServingJob) -> [Int] {
        let count = job.tokens.count
        let wanted = job.checkpoints.filter { $0 > 0 && $0 < count }
        guard model.stateLayout.needsCheckpoints else { return wanted + [count] }
        // A recurrent state should not be remembered more often than is worth its size in keys and values.
        let perToken = max(model.stateLayout.bytesPerToken, 1)
        let spacing = max((checkpointBytes / perToken + 511) / 512 * 512, 512)
        return Array(Set(wanted.isEmpty ? [count - 1] : wanted).union(stride(from: spacing, to: count, by: spacing)))
    }

    private func readyState() -> SequenceState? {
        if let state = idleStates.popLast() { return state }
        return try? model.makeSequence(contextLength: contextLength)
    }

    // MARK: A step

    private func step() {
        batch.removeAll()
        var pieces: [(slot: ServingSlot, tokens: ArraySlice<Int32>)] = []
        for slot in slots {
            guard let token = slot.pending else { continue }
            batch.append(CollectionOfOne(token), to: slot.state, logits: .last)
            pieces.append((slot, [token]))
        }
        let answers = pieces.count
        for (slot, rows) in prompts(besides: answers) {
            let piece = slot.nextPiece(limit: rows)
            batch.append(piece, to: slot.state, logits: slot.logitRows(of: piece))
            pieces.append((slot, piece))
        }
        guard !pieces.isEmpty else { return }

        func generated() -> Int { pieces.reduce(0) { $0 + $1.slot.generatedTokens } }
        let generatedBefore = generated()
        let start = ContinuousClock.now
        let starts = pieces.map(\.slot.state.count)
        var atCuts: [ServingSlot] = []
        // The state has advanced when logits come, so the bookkeeping is done first; it cannot fail.
        var isTold = false
        func tell() {
            guard !isTold else { return }
            isTold = true
            for (slot, tokens) in pieces where slot.didCompute(tokens) { atCuts.append(slot) }
        }
        var segment = 0
        model.forward(batch, work) { first, logits in
            tell()
            var deliveries: [Delivery] = []
            for row in 0..<logits.rows {
                let batchRow = Int(batch.logitRows[first + row])
                while batch.segments[segment].rows.upperBound <= batchRow { segment += 1 }
                let position = starts[segment] + batchRow - batch.segments[segment].rows.lowerBound
                let slot = pieces[segment].slot
                if deliveries.last?.slot !== slot { deliveries.append(Delivery(slot: slot)) }
                deliveries[deliveries.count - 1].rows.append(
                    (UnsafeMutableBufferPointer(start: logits.row(row), count: logits.cols), position))
            }
            // Each sequence chooses for itself: with a large vocabulary that is work enough to share.
            model.compute.forEach(deliveries.count) { [deliveries] in deliveries[$0].receive() }
        }
        tell()
        for slot in atCuts { remember(slot) }
        for (slot, _) in pieces { slot.stepIsDone() }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        pacer.record(seconds: seconds, answers: answers, promptRows: batch.count - answers)
        meter.stepped(seconds: seconds, answers: answers, generated: generated() - generatedBefore)
    }

    /// Logits for one sequence.
    private struct Delivery {
        let slot: ServingSlot
        var rows: [(logits: UnsafeMutableBufferPointer<Float>, position: Int)] = []

        func receive() { for (logits, position) in rows { slot.receive(logits, at: position) } }
    }

    /// Whose prompt goes on in this step, and by how many rows.
    ///
    /// The oldest gets half of the rows and the one that is nearest to its first token the other half, so that nobody
    /// waits for ever and a short question does not wait for a long text. What they leave goes to the others.
    private func prompts(besides answers: Int) -> [(ServingSlot, Int)] {
        let open = slots.filter { $0.result == nil && !$0.isAnswering && $0.remainingPrompt > 0 }
        guard let oldest = open.first else { return [] }
        let others = open.dropFirst().sorted { $0.remainingPrompt < $1.remainingPrompt }
        var left = answers > 0 ? pacer.rows(besides: answers) : model.options.batchSize
        var shares: [(ServingSlot, Int)] = []
        func give(_ slot: ServingSlot, atMost most: Int) {
            let rows = slot.nextPiece(limit: most).count
            guard rows > 0 else { return }
            shares.append((slot, rows))
            left -= rows
        }
        if let nearest = others.first { give(nearest, atMost: left / 2) }
        give(oldest, atMost: left)
        for slot in others where !shares.contains(where: { $0.0 === slot }) { give(slot, atMost: left) }
        return shares
    }

    // MARK: Other work

    /// Work of another kind that needs the model, one piece between two steps.
    private func runTask() { inbox.takeTask()?(self) }

    /// The vector of a text; see `Embedder`.
    func embed(_ tokens: [Int32]) throws -> [Float] {
        if let embedder { return try embedder.embed(tokens) }
        let made = try Embedder(model, contextLength: contextLength)
        embedder = made
        return try made.embed(tokens)
    }

    // MARK: On disk

    private func openCacheFolder() {
        guard let path = limits.cacheFolder, limits.cacheBytes > 0, !model.architecture.isEncoder else { return }
        do {
            let folder = try CacheFolder(
                path: path, fingerprint: fingerprint(), vocabularySize: model.info.vocabularySize,
                contextLength: contextLength, log: log)
            cache = PrefixCache(
                model.stateLayout, checkpointBytes: checkpointBytes, budget: limits.cacheBytes, folder: folder)
            meter.update(running: 0, cacheBytes: cache.bytes)
        } catch {
            log("prefix cache: \(path) cannot be used: \(error)")
        }
    }

    /// Tells apart models, cache types and versions whose arithmetic differs: what this model says to a few tokens, bit
    /// for bit.
    private func fingerprint() -> UInt64 {
        var checksum = Checksum(seed: 1)
        let layout = model.stateLayout
        let facts = "\(layout.layers) \(layout.keyType) \(layout.valueType) \(model.info.weightBytes)"
        var text = Array(facts.utf8)
        text.withUnsafeMutableBytes { checksum.add(UnsafeRawBufferPointer($0)) }
        guard let state = readyState() else { return checksum.value }
        let size = model.info.vocabularySize
        let probe = (1...min(8, contextLength)).map { Int32($0 * 7919 % size) }
        batch.removeAll()
        batch.append(probe.prefix(batch.capacity), to: state, logits: .last)
        model.forward(batch, work) { _, logits in
            checksum.add(UnsafeRawBufferPointer(UnsafeBufferPointer(start: logits.row(0), count: logits.cols)))
        }
        state.reset()
        idleStates.append(state)
        return checksum.value
    }
}
