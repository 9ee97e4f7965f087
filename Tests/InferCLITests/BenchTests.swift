import ArgumentParser
import Engine
import Foundation
import FoundationXML
import GGUF
import TestSupport
import Testing

@testable import InferCLI

@Suite struct BenchTests {
    private static func bench(_ arguments: [String]) throws -> Bench {
        try #require(Infer.parseAsRoot(["bench", "-m", "x.gguf"] + arguments) as? Bench)
    }

    // MARK: Flags

    @Test(
        arguments: [
            ([], ["pp512", "tg128"]),
            (["-p", "0", "-n", "32,64"], ["tg32", "tg64"]),
            (["-p", "16", "-n", "0", "-d", "0,4096"], ["pp16", "pp16 @ d4096"]),
            (["-p", "0", "-n", "0", "-pg", "512,128"], ["pp512+tg128"]),
            (
                ["-p", "0", "-n", "8", "--rows", "1,4", "-d", "2", "--sequences", "1,2"],
                [
                    "tg8 @ d2", "tg8 x 4 rows @ d2", "tg8 x 2 sequences @ d2", "tg8 x 4 rows x 2 sequences @ d2",
                ]
            ),
        ] as [([String], [String])])
    func testsOfTheFlags(arguments: [String], names: [String]) throws {
        #expect(try Self.bench(arguments).tests.map { $0.name } == names)
    }

    @Test func listsAndCacheTypes() throws {
        let bench = try Self.bench(["-t", "1,2", "-b", "64", "-ctk", "f16,q8_0", "-ctv", "F16,q8_0", "-r", "3"])
        #expect(bench.threads.numbers == [1, 2])
        #expect(bench.batchSize.numbers == [64])
        #expect(bench.repetitions == 3)
        #expect(bench.cacheTypes.map { $0.keys } == [.f16, .q8_0])
        #expect(bench.cacheTypes.map { $0.values } == [.f16, .q8_0])
        #expect(try Self.bench(["-ctk", "f16,q8_0"]).cacheTypes.map { $0.values } == [.f16, .f16])
    }

    @Test(arguments: [
        ["-p", "0", "-n", "0"], ["-p", "1,"], ["-p", "-1"], ["-t", "0"], ["-r", "0"], ["-pg", "5"], ["-pg", "5,0"],
        ["--rows", "0"], ["-ctk", "q5"], ["-o", "xml"], ["-d", "99999999999999999999"], ["-b", "0"],
    ])
    func wrongFlagsAreRefused(arguments: [String]) {
        #expect(throws: (any Error).self) { try Self.bench(arguments) }
    }

    @Test func passes() {
        let test = BenchTest(prompt: 5, generate: 2, depth: 3, rows: 2)
        #expect(
            test.passes(batch: 4) == [
                BenchPass(start: 3, rows: 4, sequences: 1, logits: 0),
                BenchPass(start: 7, rows: 1, sequences: 1, logits: 1),
                BenchPass(start: 8, rows: 2, sequences: 1, logits: 2),
                BenchPass(start: 10, rows: 2, sequences: 1, logits: 2),
            ])
        #expect(test.tokens == 9)
        #expect(test.capacity == 12)
    }

    // MARK: Costs

    /// Hidden 32, attention 32 · (32 + 16 + 16 + 32), feed-forward 3 · 32 · 48; norms 3 · 32; vocabulary 268; 4 bytes
    /// each. The cache holds 2 · 16 values of 2 bytes and 2 scales of 4 bytes per token. A token without any cache reads
    /// 65 536 bytes.
    @Test func costOfADenseModel() throws {
        let cost = PassCost(try Model.load(ToyModel.llama.file()))
        let (matrices, norms, head) = (32 * 96 + 3 * 32 * 48, 96, 268 * 32)
        #expect(cost.plainMACs == matrices)
        #expect(cost.plainBytes == 4 * (matrices + norms))
        #expect(cost.headBytes == 4 * head)
        #expect(cost.cacheBytesPerToken == 72)
        #expect(cost.stateBytes == 0)

        let decode = cost.amount(BenchPass(start: 10, rows: 1, sequences: 1, logits: 1))
        #expect(decode == .init(bytes: 65_536 + 11 * 72, macs: 16_256))
        // Without logits the output matrix rests; every sequence reads a cache of its own.
        let several = cost.amount(BenchPass(start: 10, rows: 2, sequences: 3, logits: 0))
        #expect(several.bytes == Double(4 * (matrices + norms) + 6 * 128 + 3 * 12 * 72))
        #expect(several.macs == Double(6 * matrices))
    }

    /// A tied embedding is the output matrix.
    @Test func costOfATiedModel() throws {
        var toy = ToyModel.llama
        toy.remove("output.weight")
        let cost = PassCost(try Model.load(toy.file()))
        #expect(cost.headMACs == 268 * 32)
        #expect(cost.amount(BenchPass(start: 10, rows: 1, sequences: 1, logits: 1)).bytes == 65_536 + 11 * 72)
    }

    /// Two of four experts per token. Delta layer: 32 · (64 + 32 + 2 + 2) + 32 · 32; attention 32 · (64 + 16 + 16) +
    /// 32 · 32; in both layers router 32 · 4, shared expert 3 · 32 · 16 and its gate 32. One expert has 3 · 32 · 16 per
    /// layer. Vectors: 308 + 64 + 2 · 32 + 32. State: 3 · 64 of the convolution, two matrices of 16 · 16.
    @Test func costOfAMixture() throws {
        let cost = PassCost(try Model.load(ToyModel.qwen35moe.file()))
        #expect(cost.plainMACs == 11_712)
        #expect(cost.plainBytes == 4 * (11_712 + 468))
        #expect(cost.expertMACs == 2 * 1_536)
        #expect(cost.expertBytes == 8 * 1_536)
        #expect(cost.stateBytes == 4 * (192 + 512))
        // Two tokens visit 4 · (1 − ½ · ½) experts.
        #expect(cost.expectedExperts(tokens: 1) == 2)
        #expect(cost.expectedExperts(tokens: 2) == 3)
        let two = cost.amount(BenchPass(start: 0, rows: 2, sequences: 1, logits: 2))
        #expect(two == .init(bytes: 123_104, macs: 52_864))
        let model = try Model.load(ToyModel.qwen35moe.file())
        let one = cost.amount(BenchPass(start: 0, rows: 1, sequences: 1, logits: 1))
        #expect(Int(one.bytes) == model.info.activeBytes + cost.stateBytes + cost.cacheBytesPerToken + 128)
    }

    /// Of a long context a layer with a window reads the window only, and for several tokens what they see together.
    @Test func costOfAWindow() throws {
        var toy = ToyModel.llama
        toy["llama.attention.sliding_window"] = .uint32(8)
        let cost = PassCost(try Model.load(toy.file()))
        func bytes(_ start: Int, _ rows: Int) -> Double {
            cost.amount(BenchPass(start: start, rows: rows, sequences: 1, logits: 1)).bytes
        }
        #expect(bytes(10, 1) == 65_536 + 8 * 72)
        #expect(bytes(100, 1) == bytes(10, 1))
        #expect(bytes(100, 3) == bytes(100, 1) + 2 * (72 + 128))
        #expect(bytes(2, 1) == 65_536 + 3 * 72)
    }

    @Test func sharesOfARow() throws {
        let row = Self.row(BenchTest(generate: 10), seconds: [2, 1, 4])
        #expect(row.tokensPerSecond.median == 5)
        #expect(row.tokensPerSecond.smallest == 2.5)
        #expect(row.tokensPerSecond.largest == 10)
        #expect(row.bytesPerToken == 3e9)
        #expect(row.gigabytesPerSecond == 15)
        #expect(row.bandwidthShare == 0.5)
        #expect(row.gigamacsPerSecond == 5)
        #expect(row.int8PeakShare == 0.05)
    }

    @Test func medianOfAnEvenNumber() {
        #expect(Spread([4, 1, 3, 2]).median == 2.5)
        #expect(Spread([]).median == 0)
    }

    // MARK: Output

    static let keys = [
        "model", "format", "isa", "threads", "batch", "n_prompt", "n_gen", "n_depth", "tokens_per_second",
        "tokens_per_second_min", "tokens_per_second_max", "bytes_per_token", "gigabytes_per_second",
        "bandwidth_share", "gmac_per_second", "int8_peak_share", "commit", "cpu",
    ]

    static func row(_ test: BenchTest, seconds: [Double] = [1], model: String = "a \"b\" <c>") -> BenchRow {
        BenchRow(
            .init(
                model: model, format: "Q8_0", isa: "avx512", threads: 2, batch: 512, cacheTypeK: "f16",
                cacheTypeV: "f16", commit: "abc", cpu: "some, cpu"),
            test, cost: .init(bytes: 3e10, macs: 1e10), seconds: seconds,
            yardstick: [.init(bandwidth: 30, int8Peak: 100)])
    }

    private func output(_ format: BenchFormat, _ rows: [BenchRow]) throws -> String {
        var text = ""
        var writer = BenchWriter(format) { text += $0 + "\n" }
        for row in rows { try writer.write(row) }
        try writer.finish(last: rows.last)
        return text
    }

    @Test(arguments: [0, 1, 2])
    func json(count: Int) throws {
        let rows = (0..<count).map { Self.row(BenchTest(prompt: 512, depth: $0)) }
        let array = try #require(
            try JSONSerialization.jsonObject(with: Data(try output(.json, rows).utf8)) as? [[String: Any]])
        #expect(array.count == count)
        let lines = try output(.jsonl, rows).split(separator: "\n")
        #expect(lines.count == count)
        for (index, line) in lines.enumerated() {
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            for key in Self.keys { #expect(object[key] != nil, "\(key)") }
            #expect(object["model"] as? String == "a \"b\" <c>")
            #expect(object["n_depth"] as? Int == index)
            #expect(object["n_prompt"] as? Int == 512)
            #expect(object["n_gen"] as? Int == 0)
        }
    }

    @Test func csv() throws {
        let lines = try output(.csv, [Self.row(BenchTest(generate: 10))]).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix(Self.keys.map { "\"\($0)\"" }.joined(separator: ",")))
        #expect(lines[1].hasPrefix("\"a \"\"b\"\" <c>\",\"Q8_0\",\"avx512\",2,512,0,10,0,10.0,"))
        #expect(lines[1].contains("\"some, cpu\""))
    }

    @Test func markdown() throws {
        let lines = try output(.md, [Self.row(BenchTest(prompt: 16, depth: 4))]).split(separator: "\n")
        let columns = lines[0].count { $0 == "|" }
        #expect(lines[1].count { $0 == "|" } == columns)
        #expect(lines[2].count { $0 == "|" } == columns)
        #expect(lines[2].contains("| pp16 @ d4 | 16.00 |"))
        #expect(lines[3].contains("abc"))
    }

    // MARK: Plot

    @Test func plotHasOnePanelPerTestAndOneLinePerSetting() {
        var rows = [4096, 0].map { Self.row(BenchTest(generate: 8, depth: $0)) }
        rows.append(Self.row(BenchTest(prompt: 16)))
        rows.append(Self.row(BenchTest(generate: 8), model: "other"))
        let plot = SpeedPlot.plot(rows)
        #expect(plot.panels.map { $0.title } == ["tg8, tokens per second", "pp16, tokens per second"])
        #expect(plot.panels[0].lines.map { $0.points.map { $0.x } } == [[0, 4096], [0]])
    }

    @Test(arguments: [0, 1, 3])
    func plotIsWellFormed(count: Int) throws {
        let rows = (0..<count).map {
            Self.row(BenchTest(generate: 8, depth: $0 * 1000), model: "<script>&\"\u{1}\u{FFFF}]]>")
        }
        let reader = SVGReader()
        let parser = XMLParser(data: Data(SpeedPlot.plot(rows).svg().utf8))
        parser.delegate = reader
        #expect(parser.parse())
        #expect(reader.counts["svg"] == 1)
        #expect(reader.counts["script"] == nil)
        // One mark per measurement and one in the legend.
        #expect(reader.counts["circle", default: 0] == (count == 0 ? 0 : count + 1))
    }

    @Test(
        arguments: [
            (0, [0, 1]), (1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (7.3, [0, 2, 4, 6, 8]), (512, [0, 200, 400, 600]),
        ]
            as [(Double, [Double])])
    func ticks(highest: Double, expected: [Double]) {
        let ticks = LinePlot.ticks(upTo: highest)
        #expect(ticks.count == expected.count)
        for (found, wanted) in zip(ticks, expected) { #expect(abs(found - wanted) < 1e-9) }
    }

    // MARK: The command

    /// Every kind of test on the smallest models, as programs would read it.
    @Test(arguments: ["llama", "qwen35moe"])
    func theCommand(name: String) throws {
        let directory = try TemporaryDirectory()
        let path = try (name == "llama" ? ToyModel.llama : ToyModel.qwen35moe).write(to: directory)
        let plot = directory.path("plot.svg")
        let result = try InferProcess.run(
            [
                "bench", "-m", path, "-p", "6", "-n", "3", "-pg", "4,2", "-d", "0,9", "--rows", "2", "--sequences", "2",
                "-b", "4", "-r", "1", "-t", "2", "-ctk", "f32", "-ctv", "f16", "-o", "jsonl", "--plot", plot,
            ], environment: ["INFER_COMMIT": "abc123"])
        #expect(result.status == 0, "\(result.errors)")
        let rows = try result.output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(rows.map { $0["n_depth"] as? Int } == [0, 0, 0, 9, 9, 9])
        #expect(rows.map { $0["n_prompt"] as? Int } == [6, 0, 4, 6, 0, 4])
        for row in rows {
            #expect((row["tokens_per_second"] as? Double ?? 0) > 0)
            #expect((row["bandwidth_share"] as? Double ?? 0) > 0)
            #expect((row["int8_peak_share"] as? Double ?? 0) > 0)
            #expect(row["commit"] as? String == "abc123")
            #expect(row["batch"] as? Int == 4)
            #expect(row["threads"] as? Int == 2)
            #expect(row["cache_type_k"] as? String == "f32")
            #expect(row["cache_type_v"] as? String == "f16")
            #expect(row["isa"] as? String == InstructionSet.selected.rawValue)
        }
        #expect(XMLParser(data: try Data(contentsOf: URL(fileURLWithPath: plot))).parse())
    }

    @Test func aMissingFileIsAMessage() throws {
        let result = try InferProcess.run(["bench", "-m", "/nowhere.gguf"])
        #expect(result.status == 1)
        #expect(result.output.isEmpty)
        #expect(result.errors.contains("/nowhere.gguf"))
    }
}

/// Counts the elements of a document.
final class SVGReader: NSObject, XMLParserDelegate {
    var counts: [String: Int] = [:]

    func parser(
        _ parser: XMLParser, didStartElement elementName: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        counts[elementName, default: 0] += 1
    }
}
