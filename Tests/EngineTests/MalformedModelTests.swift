import Engine
import GGUF
import TestSupport
import Testing

/// Well-formed files that are no model must be refused with a typed error, before anything is computed.
@Suite struct MalformedModelTests {
    private static let options = EngineOptions(threads: 1, contextLength: 8, batchSize: 8)

    /// What the corpus is made from: these must work, or every refusal below would prove nothing.
    @Test(arguments: [ToyModel.llama, ToyModel.qwen35moe, MalformedCorpus.sentencePieceModel])
    func theValidModelsRun(toy: ToyFile) throws {
        let generator = try Model.load(toy.file(), options: Self.options).makeGenerator()
        try generator.sync([1, 2, 3])
        #expect(generator.logits.allSatisfy { $0.isFinite })
    }

    @Test(
        .timeLimit(.minutes(5)),
        arguments: MalformedCorpus.groups.filter { $0.cases.contains { $0.stage == .model } }.map { $0.name })
    func modelIsRefused(group: String) throws {
        let cases = try #require(MalformedCorpus.groups.first { $0.name == group }).cases
        for malformed in cases where malformed.stage == .model {
            let file = try GGUFFile(bytes: malformed.files()[0].bytes)
            let error = #expect(throws: EngineError.self, "\(malformed.name)") {
                try Model.load(file, options: Self.options)
            }
            #expect(error?.description.isEmpty != true)
        }
    }

    /// A broken vocabulary is the tokenizer's business: the engine may load the model or refuse it.
    @Test(.timeLimit(.minutes(5))) func brokenVocabulariesDoNotTrap() throws {
        for malformed in MalformedCorpus.cases where malformed.stage == .tokenizer {
            let file = try GGUFFile(bytes: malformed.files()[0].bytes)
            _ = try? Model.load(file, options: Self.options)
        }
    }

    @Test(.timeLimit(.minutes(5))) func strangeFilesRun() throws {
        for malformed in MalformedCorpus.cases where malformed.stage == .tolerated {
            let file = try GGUFFile(bytes: malformed.files()[0].bytes)
            let generator = try Model.load(file, options: Self.options).makeGenerator()
            try generator.sync([1])
            #expect(generator.logits.allSatisfy { $0.isFinite }, "\(malformed.name)")
        }
    }

    /// Random damage to everything before the tensor data. What still loads must run, whatever comes out.
    @Test(.timeLimit(.minutes(5)), arguments: [ToyModel.llama, ToyModel.qwen35moe], [1, 2])
    func randomDamage(toy: ToyFile, seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let original = try toy.bytes()
        let head = original.count - (try toy.file().tensors.reduce(0) { $0 + $1.byteCount })
        var survivors = 0
        for _ in 0..<400 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let position = Int.random(in: 0..<head, using: &random)
                let damage: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, bytes[position] ^ 1, bytes[position] &+ 1]
                bytes[position] = damage.randomElement(using: &random) ?? 0
            }
            guard let file = try? GGUFFile(bytes: bytes) else { continue }
            guard let model = try? Model.load(file, options: Self.options) else { continue }
            survivors += 1
            // A context length of 1 is valid and too short for this.
            do throws(EngineError) {
                try model.makeGenerator().sync([0, 1])
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(survivors > 10)
        #expect(survivors < 399)
    }
}
