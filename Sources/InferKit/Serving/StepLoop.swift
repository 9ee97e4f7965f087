import Engine

/// The scheduler's thread: admits jobs, runs steps, lets finished jobs go.
final class StepLoop {
    private let backend: any ModelBackend
    private let runner: any StepRunner
    private let copies: SequenceCopies?
    private let limits: Scheduler.Limits
    private let inbox: JobInbox
    private let meter: ServingMeter
    private let log: @Sendable (String) -> Void

    private var waiting: [Ticket] = []
    private var slots: [ServingSlot] = []
    /// Slots for jobs that bring none; they keep what their last job left in them.
    private var pool: [Slot] = []
    private var clock = 0
    private var cache: PrefixCache?
    private var pacer: ChunkPacer

    /// - Throws: `EngineError`.
    init(
        _ backend: any ModelBackend, limits: Scheduler.Limits, inbox: JobInbox, meter: ServingMeter,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        self.backend = backend
        self.limits = limits
        self.inbox = inbox
        self.meter = meter
        self.log = log
        runner = try backend.makeRunner(parallel: limits.parallel)
        copies = limits.cacheBytes > 0 ? runner.copies : nil
        pacer = ChunkPacer(most: runner.promptRows)
        cache = copies.map { PrefixCache($0.layout, checkpointBytes: $0.checkpointBytes, budget: limits.cacheBytes) }
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
            meter.update(running: slots.count, cacheBytes: cache?.bytes ?? 0)
        }
        cache?.saveAll()
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
            slot.slot.isBusy = false
            slot.slot.lastUse = clock
            clock += 1
            meter.finished(result)
        }
        slots.removeAll { $0.result != nil }
    }

    /// Long sequences are computed in another way, and would be found by short ones.
    private func remember(_ slot: ServingSlot) {
        guard let sequence = slot.slot.sequence as? SequenceState, !sequence.isLong else { return }
        cache?.insert(slot.slot.tokens, from: sequence)
    }

    private func admit() {
        var index = 0
        while index < waiting.count, slots.count < limits.parallel {
            let ticket = waiting[index]
            let job = ticket.job
            // The scores of all positions are asked for, so all of them are computed.
            let isScored = job.promptScoreAlternatives != nil
            let isLong = runner.longContext.map { job.tokens.count > $0 } ?? false
            let match =
                isScored || isLong
                ? nil : cache?.longestMatch(job.tokens, limit: job.tokens.count - 1)
            guard let slot = slot(for: job, beyond: match?.count ?? 0) else {
                // A session's own slot is still at work.
                index += 1
                continue
            }
            let reuses = !isScored && (job.slot != nil || cache != nil)
            let known = reuses ? max(match?.count ?? 0, slot.usablePrefix(of: job.tokens)) : 0
            if !isScored, isBeingComputed(job, beyond: known) {
                index += 1
                continue
            }
            let logits: [Float]?
            do {
                logits = try slot.begin(job.tokens, reuses: reuses, isLong: isLong, runner)
            } catch {
                // Others will give theirs back; with nobody running there is no hope.
                guard slots.isEmpty else { return }
                waiting.remove(at: index)
                inbox.didStart(1)
                ticket.finish(.failed("there is no memory for the state of another sequence: \(error)"))
                continue
            }
            waiting.remove(at: index)
            inbox.didStart(1)
            if let match, match.count > slot.tokens.count, !isLong {
                slot.replace(by: job.tokens.prefix(match.count)) { sequence in
                    if let state = sequence as? SequenceState { cache?.restore(match, into: state) }
                }
            }
            slot.isBusy = true
            let cached = slot.tokens.count
            let running = ServingSlot(
                ticket, slot, cuts: cuts(of: job), backend: backend, longContext: runner.longContext,
                keepsPromptEnd: cache == nil)
            slots.append(running)
            meter.started(promptTokens: job.tokens.count, cachedTokens: cached)
            log(cacheLine(job, cached, isScored))
            if var logits {
                logits.withUnsafeMutableBufferPointer { running.receive($0, at: job.tokens.count - 1) }
                running.stepIsDone()
            }
        }
    }

    /// Where a job runs: in the slot it brings, or in the idle one that has most in common with it. A slot that others
    /// may want to go on from is not cut short for what a copy of it gives as well.
    /// - Parameter known: tokens of the prompt of which there is a copy.
    /// - Returns: nil when the job's own slot is at work.
    private func slot(for job: ServingJob, beyond known: Int) -> Slot? {
        if let own = job.slot { return own.isBusy ? nil : own }
        let idle = pool.filter { !$0.isBusy }
        let usable = (cache == nil ? [] : idle).map { (slot: $0, count: $0.usablePrefix(of: job.tokens)) }
        if let best = usable.max(by: { $0.count < $1.count }), best.count >= PrefixCache.leastTokens,
            best.count > known || best.count == known && best.count == best.slot.tokens.count
        {
            return best.slot
        }
        if pool.count < limits.parallel {
            let slot = Slot()
            pool.append(slot)
            return slot
        }
        return idle.min { $0.lastUse < $1.lastUse }
    }

    private func cacheLine(_ job: ServingJob, _ cached: Int, _ isScored: Bool) -> String {
        let why: String
        if cached > 0 {
            why = ""
        } else if isScored {
            why = " (scores of the prompt were asked for)"
        } else if cache == nil {
            why = " (the cache is off)"
        } else if copies?.layout.needsCheckpoints ?? false {
            why = " (no state is kept for a beginning of it)"
        } else {
            why = " (no other prompt began like it)"
        }
        return "\(job.id) started: \(job.tokens.count) prompt tokens, \(cached) cached\(why)"
    }

    /// Whether another job is about to compute more of this prompt's beginning than is known: then it is quicker to
    /// wait.
    private func isBeingComputed(_ job: ServingJob, beyond known: Int) -> Bool {
        // Only copies can be shared.
        guard cache != nil else { return false }
        return slots.contains { slot in
            guard slot.result == nil, slot.remainingPrompt > 0 else { return false }
            var common = 0
            let most = min(slot.job.tokens.count, job.tokens.count - 1)
            while common < most, slot.job.tokens[common] == job.tokens[common] { common += 1 }
            let usable = cuts(of: slot.job).filter { $0 <= common }.max() ?? 0
            return usable > slot.slot.tokens.count && usable >= known + 32
        }
    }

    /// Prompt lengths at which the state is remembered.
    private func cuts(of job: ServingJob) -> [Int] {
        let count = job.tokens.count
        guard let copies else { return [] }
        let wanted = job.checkpoints.filter { $0 > 0 && $0 < count }
        guard copies.layout.needsCheckpoints else { return wanted + [count] }
        // A recurrent state should not be remembered more often than is worth its size in keys and values.
        let perToken = max(copies.layout.bytesPerToken, 1)
        let spacing = max((copies.checkpointBytes / perToken + 511) / 512 * 512, 512)
        return Array(Set(wanted.isEmpty ? [count - 1] : wanted).union(stride(from: spacing, to: count, by: spacing)))
    }

    // MARK: A step

    private func step() {
        var pieces: [StepPiece] = []
        var owners: [ServingSlot] = []
        for slot in slots {
            guard let token = slot.pending, let sequence = slot.slot.sequence else { continue }
            pieces.append(StepPiece(sequence, [token], logits: .last))
            owners.append(slot)
        }
        let answers = pieces.count
        var rows = answers
        for (slot, share) in prompts(besides: answers) {
            guard let sequence = slot.slot.sequence else { continue }
            let piece = slot.nextPiece(limit: share)
            pieces.append(StepPiece(sequence, piece, logits: slot.logitRows(of: piece)))
            owners.append(slot)
            rows += piece.count
        }
        guard !pieces.isEmpty else { return }

        func generated() -> Int { owners.reduce(0) { $0 + $1.generatedTokens } }
        let generatedBefore = generated()
        let start = ContinuousClock.now
        var atCuts: [ServingSlot] = []
        runner.run(pieces) {
            // The sequences have advanced when logits come, so the bookkeeping is done first; it cannot fail.
            for (slot, piece) in zip(owners, pieces) where slot.didCompute(piece.tokens) { atCuts.append(slot) }
        } deliver: { index, position, logits in
            owners[index].receive(logits, at: position)
        }
        for slot in atCuts { remember(slot) }
        for slot in owners { slot.stepIsDone() }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        pacer.record(seconds: seconds, answers: answers, promptRows: rows - answers)
        meter.stepped(seconds: seconds, answers: answers, generated: generated() - generatedBefore)
    }

    /// Whose prompt goes on in this step, and by how many rows.
    ///
    /// The oldest gets half of the rows and the one that is nearest to its first token the other half, so that nobody
    /// waits for ever and a short question does not wait for a long text. What they leave goes to the others.
    private func prompts(besides answers: Int) -> [(ServingSlot, Int)] {
        let open = slots.filter { $0.result == nil && !$0.isAnswering && $0.remainingPrompt > 0 }
        guard let oldest = open.first else { return [] }
        let others = open.dropFirst().sorted { $0.remainingPrompt < $1.remainingPrompt }
        var left = answers > 0 ? pacer.rows(besides: answers) : runner.promptRows
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
    func embed(_ tokens: [Int32]) throws -> [Float] { try runner.embed(tokens) }

    // MARK: On disk

    private func openCacheFolder() {
        guard let path = limits.cacheFolder, let copies else { return }
        do {
            let folder = try CacheFolder(
                path: path, fingerprint: copies.fingerprint(), vocabularySize: backend.vocabularySize,
                contextLength: backend.contextLength, log: log)
            let cache = PrefixCache(
                copies.layout, checkpointBytes: copies.checkpointBytes, budget: limits.cacheBytes, folder: folder)
            self.cache = cache
            meter.update(running: 0, cacheBytes: cache.bytes)
        } catch {
            log("prefix cache: \(path) cannot be used: \(error)")
        }
    }
}
