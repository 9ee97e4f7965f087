import ArgumentParser
import Engine
import Foundation
import GGUF

/// `infer bench`: how fast a model runs here, and how near that is to what the machine can do.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the speed of a model and compare it with the limits of this machine.",
        discussion: """
            Flags and names of tests are llama-bench's: pp512 computes a prompt of 512 tokens, tg128 generates 128, \
            @ d4096 behind 4096 others. Lists measure every combination. Each row is the median of the repetitions \
            after one run that does not count. The bytes per token are what must be read from memory at least: \
            active weights, output matrix, key/value cache and recurrent state; their rate is given as a share of \
            the memory bandwidth, and that of the matrix products as a share of the int8 peak, both measured in the \
            same run.

              infer bench -m qwen.gguf -p 512 -n 128 -d 0,4096 -t 1,2
              infer bench -m qwen.gguf -p 0 -n 32 --rows 1,2,4,8
              infer bench -m qwen.gguf -d 0,2048,4096,8192 --plot depth.svg
            """)

    @Option(
        name: [.short, .long], help: ArgumentHelp("A GGUF model file; may be repeated.", valueName: "file"),
        completion: .file(extensions: ["gguf"]))
    var model: [String]

    @Option(
        name: [.customShort("p"), .long],
        help: ArgumentHelp("Tokens of a prompt; 0 leaves the test out.", valueName: "n,…"))
    var nPrompt = NumberList([512])

    @Option(
        name: [.customShort("n"), .long],
        help: ArgumentHelp("Tokens to generate; 0 leaves the test out.", valueName: "n,…"))
    var nGen = NumberList([128])

    @Option(
        name: [.customLong("pg", withSingleDash: true), .customLong("prompt-gen")],
        help: ArgumentHelp("A prompt and generated tokens in one test; may be repeated.", valueName: "pp,tg"))
    var promptGen: [NumberList] = []

    @Option(
        name: [.customShort("d"), .long],
        help: ArgumentHelp("Tokens that are there before a test begins.", valueName: "n,…"))
    var nDepth = NumberList([0])

    @Option(
        help: ArgumentHelp(
            "Consecutive tokens per generating pass, as when a draft is checked.", valueName: "n,…"))
    var rows = NumberList([1])

    @Option(help: ArgumentHelp("Sequences per generating pass, one token each.", valueName: "n,…"))
    var sequences = NumberList([1])

    @Option(name: [.short, .long], help: ArgumentHelp("Repetitions of each test.", valueName: "count"))
    var repetitions = 5

    @Option(
        name: [.short, .long], help: ArgumentHelp("Threads (default: one per physical core).", valueName: "n,…"))
    var threads: NumberList = NumberList([ProcessorCount.physicalCores])

    @Option(
        name: [.customShort("b"), .long],
        help: ArgumentHelp("Most prompt tokens computed at once.", valueName: "n,…"))
    var batchSize = NumberList([512])

    @Option(
        name: [.customLong("ctk", withSingleDash: true), .customLong("cache-type-k")],
        help: "How the cache stores keys: f16, f32, q8_0, with commas between them.")
    var cacheTypeK = CacheTypeList([.f16])

    @Option(
        name: [.customLong("ctv", withSingleDash: true), .customLong("cache-type-v")],
        help: "How the cache stores values, likewise; with lists of one length the two go in pairs.")
    var cacheTypeV = CacheTypeList([.f16])

    @Option(name: [.short, .long], help: "How to print: md, json, jsonl or csv.")
    var output = BenchFormat.md

    @Option(
        help: ArgumentHelp("Draw speed against depth into this SVG file.", valueName: "file"),
        completion: .file(extensions: ["svg"]))
    var plot: String?

    @Flag(
        help: """
            Take turns with another program: print "ready" before the first repetition of a test, wait for a line on \
            standard input before each, print "done" and its seconds after it.
            """)
    var paced = false

    func validate() throws {
        func check(_ name: String, _ list: NumberList, in range: ClosedRange<Int>) throws {
            for number in list.numbers where !range.contains(number) {
                throw ValidationError("\(name) must be \(range.lowerBound) to \(range.upperBound), found \(number)")
            }
        }
        try check("--n-prompt", nPrompt, in: 0...(1 << 20))
        try check("--n-gen", nGen, in: 0...(1 << 20))
        try check("--n-depth", nDepth, in: 0...(1 << 20))
        try check("--rows", rows, in: 1...512)
        try check("--sequences", sequences, in: 1...64)
        try check("--threads", threads, in: 1...1024)
        try check("--batch-size", batchSize, in: 1...65536)
        try check("--repetitions", NumberList([repetitions]), in: 1...1000)
        for pair in promptGen {
            guard pair.numbers.count == 2 else { throw ValidationError("-pg takes two numbers, as in 512,128") }
            try check("-pg", pair, in: 1...(1 << 20))
        }
        guard !tests.isEmpty else { throw ValidationError("there is nothing to measure: -p and -n are 0") }
    }

    /// All tests, depth by depth.
    var tests: [BenchTest] {
        nDepth.numbers.flatMap { depth -> [BenchTest] in
            let prompts = nPrompt.numbers.filter { $0 > 0 }.map { BenchTest(prompt: $0, depth: depth) }
            let generations = nGen.numbers.filter { $0 > 0 }.flatMap { count in
                sequences.numbers.flatMap { sequences in
                    rows.numbers.map {
                        BenchTest(generate: count, depth: depth, rows: $0, sequences: sequences)
                    }
                }
            }
            let mixed = promptGen.map { BenchTest(prompt: $0.numbers[0], generate: $0.numbers[1], depth: depth) }
            return prompts + generations + mixed
        }
    }

    /// Cache types to go through, keys and values.
    var cacheTypes: [(keys: CacheType, values: CacheType)] {
        let (keys, values) = (cacheTypeK.types, cacheTypeV.types)
        if keys.count == values.count { return zip(keys, values).map { ($0, $1) } }
        return keys.flatMap { key in values.map { (key, $0) } }
    }

    func run() throws {
        if let plot { try OutputFile.check(plot) }
        var writer = BenchWriter(output, print: say)
        var all: [BenchRow] = []
        for path in model {
            let file = try GGUFFile(path: path)
            for threads in threads.numbers {
                for cache in cacheTypes {
                    for batchSize in batchSize.numbers {
                        var options = EngineOptions(
                            threads: threads, batchSize: max(batchSize, rows.numbers.max() ?? 1), keyCache: cache.keys,
                            valueCache: cache.values)
                        options.allowsUntrainedContext = true
                        try measure(try Model.load(file, options: options), batchSize: batchSize) { row in
                            try writer.write(row)
                            all.append(row)
                        }
                    }
                }
            }
        }
        try writer.finish(last: all.last)
        if let plot { try OutputFile.write(SpeedPlot.plot(all).svg(), to: plot) }
    }

    /// Prints a line at once, also into a pipe.
    private func say(_ line: String) throws { try StandardOutput.line(line) }

    private func measure(_ model: Model, batchSize: Int, _ deliver: (BenchRow) throws -> Void) throws {
        let tests = tests
        let options = model.options
        let setting = BenchRow.Setting(
            model: model.info.name ?? URL(fileURLWithPath: model.file.path).lastPathComponent,
            format: Self.format(model), isa: InstructionSet.selected.rawValue, threads: options.threads,
            batch: batchSize, cacheTypeK: options.keyCache.rawValue, cacheTypeV: options.valueCache.rawValue,
            commit: BuildCommit.find(), cpu: MachineFacts.read().cpu)
        let cost = PassCost(model)
        let runner = BenchRunner(model, batchSize: batchSize, tests: tests)
        let yardstick = Yardstick(threads: options.threads, file: model.file)
        var progress = ProgressLine()
        for test in tests {
            progress.show("\(test.name): coming to depth \(test.depth)")
            try runner.prepare(test)
            runner.warmUp(test)
            var seconds: [Double] = []
            var readings: [Yardstick.Reading] = []
            if paced { try say("ready") }
            for repetition in 1...repetitions {
                progress.show("\(test.name): \(repetition) of \(repetitions)")
                if paced, readLine() == nil { throw CommandError("standard input ended before the last repetition") }
                readings.append(yardstick.read())
                seconds.append(runner.measure(test))
                if paced { try say("done \(seconds[repetition - 1])") }
            }
            progress.clear()
            try deliver(
                BenchRow(
                    setting, test, cost: cost.amount(test.passes(batch: batchSize)), seconds: seconds,
                    yardstick: readings))
        }
    }

    /// The file's recipe, or the format that most of its bytes have.
    static func format(_ model: Model) -> String {
        let stated = model.file.metadata[GGUFFileType.key]?.int.flatMap(GGUFFileType.name)
        return stated ?? model.info.formats.first?.format ?? "none"
    }
}

/// Cache types with commas between them.
struct CacheTypeList: ExpressibleByArgument {
    let types: [CacheType]

    init(_ types: [CacheType]) { self.types = types }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let types = parts.compactMap { CacheType(argument: String($0)) }
        guard types.count == parts.count else { return nil }
        self.types = types
    }

    var defaultValueDescription: String { types.map { $0.rawValue }.joined(separator: ",") }
}
