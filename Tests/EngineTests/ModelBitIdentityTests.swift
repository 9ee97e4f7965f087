import CKernels
import Foundation
import GGUF
import TestSupport
import Testing

@testable import Engine

/// The promise: for one file and one list of tokens the logits are the same bits, whatever the number of threads,
/// the size of the batches, the instruction set, and the way in which the tokens arrived.
@Suite struct ModelBitIdentityTests {
    /// Every family in every weight format, on every instruction set of this machine.
    @Test(arguments: FamilyToy.all, QuantFormat.all)
    func formats(_ toy: FamilyToy, _ format: QuantFormat) throws {
        let file = try toy.file(format: format)
        let tokens = toy.tokens(24)
        var reference: [[Float]] = []
        try onEachInstructionSet { isa, index in
            // The portable one comes first and is the reference.
            for (threads, batchSize) in index == 0 ? [(1, 512)] : [(2 + index, 7), (2, index == 1 ? 64 : 1)] {
                let model = try Model.load(
                    file, options: EngineOptions(threads: threads, contextLength: 64, batchSize: batchSize))
                let logits = try model.allLogits(tokens)
                if reference.isEmpty { reference = logits }
                #expect(
                    sameBits(logits, reference), "\(isa), \(threads) threads, batches of \(batchSize)")
            }
        }
        #expect(reference.joined().allSatisfy { $0.isFinite })
        // Weights that vanish or swamp everything would make the comparison worthless.
        let last = reference[reference.count - 1]
        #expect((last.max() ?? 0) - (last.min() ?? 0) > 0.1)
        #expect(!sameBits([reference[0]], [last]))
    }

    /// Every number of threads with every batch size, on a prompt longer than a batch of 512 and than several
    /// blocks of attention.
    @Test(arguments: FamilyToy.all)
    func threadsAndBatches(_ toy: FamilyToy) throws {
        let file = try toy.file(format: try #require(QuantFormat.find(.q4_K)))
        let tokens = toy.tokens(530)
        var reference: [Float] = []
        for threads in 1...4 {
            for batchSize in [512, 64, 7, 1] {
                let options = EngineOptions(threads: threads, contextLength: 530, batchSize: batchSize)
                let generator = try Model.load(file, options: options).makeGenerator()
                try generator.sync(tokens)
                if reference.isEmpty { reference = [Float](generator.logits) }
                #expect(
                    sameBits([[Float](generator.logits)], [reference]),
                    "\(threads) threads, batches of \(batchSize)")
            }
        }
    }

    /// A coarser cache changes little. Where an indexer chooses what attention sees, its own keys are coarser too, and
    /// another choice is no small change: how little the cache changes is measured with every position chosen.
    @Test(arguments: FamilyToy.all)
    func cacheTypes(_ toy: FamilyToy) throws {
        let format = try #require(QuantFormat.find(.q8_0))
        let tokens = toy.tokens(300)
        let file = try toy.file(format: format)
        var seeingAll = toy.toyFile(format: format)
        if toy.choosesPositions { seeingAll["\(toy.architecture).attention.indexer.top_k"] = .uint32(300) }
        let open = try seeingAll.file()
        let layout = try Model.load(file, options: EngineOptions(threads: 1)).stateLayout
        let hasCache = layout.bytesPerToken > 0 || layout.hasWindows
        func logits(_ file: GGUFFile, batchSize: Int, cache: CacheType) throws -> [Float] {
            let options = EngineOptions(
                threads: 2, contextLength: 300, batchSize: batchSize, keyCache: cache, valueCache: cache)
            let generator = try Model.load(file, options: options).makeGenerator()
            try generator.sync(tokens)
            return [Float](generator.logits)
        }
        let exact = try logits(open, batchSize: 300, cache: .f32)
        let range = (exact.max() ?? 0) - (exact.min() ?? 0)
        for cache in CacheType.allCases {
            let whole = try logits(file, batchSize: 300, cache: cache)
            #expect(sameBits([whole], [try logits(file, batchSize: 33, cache: cache)]))
            let all = toy.choosesPositions ? try logits(open, batchSize: 300, cache: cache) : whole
            let error = zip(all, exact).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect(cache == .f32 || !hasCache ? error == 0 : error > 0 && error < 0.1 * range, "\(error) of \(range)")
            // Or else the choice plays no part, and the first comparison tests nothing of it.
            if toy.choosesPositions { #expect(!sameBits([all], [whole])) }
        }
    }

    /// A sequence that was extended, cut back, cancelled or restored gives what a fresh one gives.
    @Test(arguments: FamilyToy.all)
    func continued(_ toy: FamilyToy) throws {
        let options = EngineOptions(threads: 2, contextLength: 64, batchSize: 8)
        let model = try Model.load(try toy.file(format: try #require(QuantFormat.find(.q6_K))), options: options)
        let prompt = toy.tokens(20)
        let longer = prompt + toy.tokens(9, seed: 2)
        let other = prompt + toy.tokens(5, seed: 3)
        let rewinds = !model.stateLayout.isRecurrent
        func fresh(_ tokens: [Int32]) throws -> [Float] {
            let generator = try model.makeGenerator()
            try generator.sync(tokens)
            return [Float](generator.logits)
        }
        let generator = try model.makeGenerator()
        var work: [Int] = []
        func check(_ tokens: [Int32], computes: Int, _ name: Comment) throws {
            work = []
            try generator.sync(tokens, progress: { _, total in work.append(total) })
            #expect(generator.tokens == tokens)
            #expect(sameBits([[Float](generator.logits)], [try fresh(tokens)]), name)
            #expect(work.last ?? 0 == computes, name)
        }
        try check(prompt, computes: 20, "fresh")
        try check(prompt, computes: 0, "again")
        try check(other, computes: 5, "extended")
        try check(other + prompt, computes: 20, "extended by what it holds")
        try check(longer, computes: rewinds ? 9 : 29, "another ending")
        // A recurrent state goes back to the end of the last prompt only.
        for token in toy.tokens(6, seed: 4) { try generator.decode(token) }
        try check(longer, computes: rewinds ? 1 : 0, "answer taken back")
        for token in toy.tokens(6, seed: 4) { try generator.decode(token) }
        try check(longer + [1, 2], computes: 2, "answer replaced")
        try check([Int32](prompt.prefix(7)), computes: rewinds ? 1 : 7, "cut short")

        var asked = 0
        #expect(throws: EngineError.cancelled) {
            try generator.sync(
                longer,
                isCancelled: {
                    asked += 1
                    return asked == 3
                })
        }
        #expect(generator.count > 7 && generator.count < longer.count)
        try check(longer, computes: longer.count - generator.count, "after being cancelled")
        generator.reset()
        #expect(generator.tokens.isEmpty)
        try check(other, computes: other.count, "after being reset")
    }

    @Test(arguments: FamilyToy.all)
    func decodedOneByOne(_ toy: FamilyToy) throws {
        let model = try Model.load(
            try toy.file(format: try #require(QuantFormat.find(.q4_0))),
            options: EngineOptions(threads: 2, contextLength: 64))
        let tokens = toy.tokens(30)
        let all = try model.allLogits(tokens)
        let generator = try model.makeGenerator()
        try generator.sync([Int32](tokens.prefix(3)))
        for position in 3..<tokens.count {
            try generator.decode(tokens[position])
            #expect(sameBits([[Float](generator.logits)], [all[position]]), "position \(position)")
        }
    }

    /// Several sequences in one batch do not see each other.
    @Test(arguments: FamilyToy.all)
    func severalSequences(_ toy: FamilyToy) throws {
        let model = try Model.load(
            try toy.file(format: try #require(QuantFormat.find(.q5_K))),
            options: EngineOptions(threads: 2, contextLength: 64))
        let prompts = [toy.tokens(11, seed: 5), toy.tokens(1, seed: 6), toy.tokens(24, seed: 7)]
        let sequences = try prompts.map { _ in try model.makeSequence() }
        let batch = Batch(capacity: 64, maximumSegments: 3)
        let work = Workspace()
        var logits: [[Float]] = []
        // The first tokens together, then the rest together.
        for part in [0..<1, 1..<24] {
            batch.removeAll()
            for (prompt, sequence) in zip(prompts, sequences) where prompt.count > part.lowerBound {
                batch.append(prompt[part.clamped(to: 0..<prompt.count)], to: sequence, logits: .all)
            }
            model.forward(batch, work) { _, rows in
                for row in 0..<rows.rows {
                    logits.append([Float](UnsafeBufferPointer(start: rows.row(row), count: rows.cols)))
                }
            }
        }
        let alone = try prompts.map { try model.allLogits($0) }
        let expected = alone.map { $0[0] } + alone.flatMap { $0.dropFirst() }
        #expect(sameBits(logits, expected))
    }

    /// After the largest batch has run once, nothing is allocated any more.
    @Test(arguments: FamilyToy.all)
    func scratchMemory(_ toy: FamilyToy) throws {
        let options = EngineOptions(threads: 2, contextLength: 600, batchSize: 256)
        let model = try Model.load(try toy.file(format: try #require(QuantFormat.find(.q4_K))), options: options)
        let sequence = try model.makeSequence()
        let batch = Batch(capacity: 256, maximumSegments: 1)
        let work = Workspace()
        func run(_ tokens: [Int32]) {
            batch.removeAll()
            batch.append(tokens, to: sequence, logits: .last)
            model.forward(batch, work) { _, _ in }
        }
        for _ in 0..<2 { run(toy.tokens(256)) }
        work.reset()
        let growths = (work.growths, model.compute.growths)
        for length in [1, 40, 1, 7] { run(toy.tokens(length)) }
        #expect((work.growths, model.compute.growths) == growths)
        let figure = model.memory(contextLength: 600).scratch
        #expect(work.highWater <= figure && figure <= 4 * work.highWater, "\(work.highWater), said \(figure)")
    }
}

extension FamilyToy {
    func tokens(_ count: Int, seed: UInt64 = 9) -> [Int32] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
    }
}

/// Runs `body` on each instruction set of this machine, the portable one first.
func onEachInstructionSet(_ body: (InstructionSet, Int) throws -> Void) rethrows {
    instructionSetTurn.lock()
    let before = InstructionSet.selected
    defer {
        _ = ck_isa_select(before.kernel)
        instructionSetTurn.unlock()
    }
    for (index, isa) in InstructionSet.available.enumerated() {
        #expect(ck_isa_select(isa.kernel) != 0)
        try body(isa, index)
    }
}

func sameBits(_ a: [[Float]], _ b: [[Float]]) -> Bool {
    a.count == b.count
        && zip(a, b).allSatisfy { rows in
            rows.0.count == rows.1.count && zip(rows.0, rows.1).allSatisfy { $0.bitPattern == $1.bitPattern }
        }
}
