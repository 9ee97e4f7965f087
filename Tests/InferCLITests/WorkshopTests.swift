import Foundation
import GGUF
import TestSupport
import Testing

@testable import InferCLI

/// `infer inspect --stats|--diff|--strict`, `infer edit`, `infer split` and `infer merge` as they are called.
@Suite struct WorkshopTests {
    private let directory: TemporaryDirectory
    private let model: String

    init() throws {
        directory = try TemporaryDirectory()
        model = try ToyModel.qwen35moe.write(to: directory, name: "model.gguf")
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    // MARK: Inspect

    @Test func statistics() throws {
        let result = try InferProcess.run(["inspect", model, "--stats", "--json", "--tensor", "ssm_a$"])
        #expect(result.status == 0)
        let tensors = try #require(try object(result.output)["tensors"] as? [[String: Any]])
        #expect(tensors.count == 1)
        let values = try #require(tensors[0]["values"] as? [String: Any])
        #expect(values["minimum"] as? Double == -1 && values["maximum"] as? Double == -0.5)
        #expect(values["mean"] as? Double == -0.75 && values["standardDeviation"] as? Double == 0.25)
        let text = try InferProcess.run(["inspect", model, "--stats"])
        #expect(text.output.contains("\(ToyModel.qwen35moe.tensors.count) tensors, 0 with NaN"))
    }

    @Test func difference() throws {
        var toy = ToyModel.qwen35moe
        toy["general.name"] = .string("other")
        toy["qwen35moe.context_length"] = nil
        toy.floats("blk.0.ssm_a", [2], [-1, -0.25])
        toy.random("blk.1.attn_norm.weight", [16])
        toy.remove("output_norm.weight")
        toy.random("new.weight", [3])
        let other = try toy.write(to: directory, name: "other.gguf")
        let result = try InferProcess.run(["inspect", model, "--diff", other, "--json"])
        #expect(result.status == 1 && result.errors.isEmpty)
        let report = try object(result.output)
        let metadata = try #require(report["metadata"] as? [[String: Any]])
        #expect(
            Set(metadata.compactMap { $0["key"] as? String }) == ["general.name", "qwen35moe.context_length"])
        let tensors = try #require(report["tensors"] as? [[String: Any]])
        #expect(
            tensors.compactMap { $0["name"] as? String }.sorted()
                == ["blk.0.ssm_a", "blk.1.attn_norm.weight", "new.weight", "output_norm.weight"])
        let distance = try #require(
            tensors.first { $0["name"] as? String == "blk.0.ssm_a" }?["distance"] as? [String: Any])
        #expect(distance["differing"] as? Int == 1 && distance["maximum"] as? Double == 0.25)
        let text = try InferProcess.run(["inspect", model, "--diff", other]).output
        #expect(text.contains("+ string other") && text.contains("F32 32") && text.contains("F32 16"))

        let same = try InferProcess.run(["inspect", model, "--diff", model])
        #expect(same.status == 0 && same.output.contains("no difference"))
    }

    @Test func strict() throws {
        let sound = try InferProcess.run(["inspect", model, "--strict"])
        #expect(sound.status == 0 && sound.output.contains("no problem found"))

        var toy = ToyModel.qwen35moe
        toy.floats("blk.0.ssm_a", [2], [.nan, -.infinity])
        toy.remove("blk.1.attn_norm.weight")
        toy.random("blk.0.ffn_gate_inp.weight", [32, 5])
        toy.random("extra.weight", [3])
        toy["tokenizer.chat_template"] = .string("{% if %}")
        toy["tokenizer.ggml.model"] = .string("rot13")
        let broken = try toy.write(to: directory, name: "broken.gguf")
        let result = try InferProcess.run(["inspect", broken, "--strict", "--json"])
        #expect(result.status == 1)
        let problems = try #require(try object(result.output)["problems"] as? [String])
        #expect(problems.count == 6)
        for part in [
            "'blk.1.attn_norm.weight' [32] is missing", "'blk.0.ffn_gate_inp.weight' has shape [32, 5]",
            "'extra.weight' is not one", "tokenizer.chat_template", "rot13",
            "'blk.0.ssm_a' has 1 NaN and 1 infinite of 2 values",
        ] {
            #expect(problems.contains { $0.contains(part) }, "\(part): \(problems)")
        }
        #expect(try InferProcess.run(["inspect", broken, "--strict"]).output.contains("6 problems"))
    }

    @Test(arguments: [["--stats", "--strict"], ["--tensor", "a"], ["--stats", "--tensor", "("], ["--threads", "0"]])
    func usage(flags: [String]) throws {
        #expect(try InferProcess.run(["inspect", model] + flags).status == 64)
    }

    // MARK: Edit

    @Test func edit() throws {
        let target = directory.path("new.gguf")
        let template = try directory.write(Array("{{ messages[0].content }}\n".utf8), to: "template.jinja")
        let result = try InferProcess.run([
            "edit", model, target, "--name", "Neu", "--set", "x.new=uint8[]:[1,2]", "--remove",
            "tokenizer.ggml.bos_token_id", "--chat-template", template, "--json",
        ])
        #expect(result.status == 0, "\(result.errors)")
        #expect(try object(result.output)["changes"] as? [Any] != nil)
        let file = try GGUFFile(path: target)
        #expect(file.metadata["general.name"] == .string("Neu"))
        #expect(file.metadata["x.new"] == .array(GGUFArray([UInt8(1), 2])))
        #expect(file.metadata["tokenizer.chat_template"] == .string("{{ messages[0].content }}"))
        #expect(file.metadata["tokenizer.ggml.bos_token_id"] == nil)
        #expect(file.tensors.count == ToyModel.qwen35moe.tensors.count)
    }

    @Test func editsThatAreRefused() throws {
        let target = directory.path("new.gguf")
        let bad = try directory.write(Array("{% for %}".utf8), to: "bad.jinja")
        let cases: [([String], Int32, String)] = [
            ([model, target], 64, "nothing to change"), ([model, target, "--set", "novalue"], 64, "NAME=VALUE"),
            ([model, target, "--set", "x=1"], 1, "TYPE:VALUE"),
            ([model, target, "--remove", "x"], 1, "no metadata key"),
            ([model, target, "--chat-template", bad], 1, "no chat template"),
            ([model, model, "--name", "x"], 1, "would be overwritten"),
            ([directory.path("none.gguf"), target, "--name", "x"], 1, "no such file"),
        ]
        let before = try directory.contents()
        for (arguments, status, message) in cases {
            let result = try InferProcess.run(["edit"] + arguments)
            #expect(result.status == status && result.errors.contains(message), "\(arguments): \(result.errors)")
        }
        #expect(try InferProcess.run(["edit", model, target, "--name", "x", "--dry-run"]).output.contains("→ x"))
        #expect(try directory.contents() == before)
    }

    // MARK: Split and merge

    @Test func splitAndMerge() throws {
        let prefix = directory.path("part")
        let flags = ["--max-tensors", "10"]
        let planned = try InferProcess.run(["split", model, prefix, "--dry-run", "--json"] + flags)
        #expect(try directory.contents() == ["model.gguf"])
        let split = try InferProcess.run(["split", model, prefix + ".gguf", "--json"] + flags)
        #expect(split.status == 0)
        let parts = try #require(try object(split.output)["parts"] as? [[String: Any]])
        #expect(parts.count == (ToyModel.qwen35moe.tensors.count + 9) / 10)
        #expect(parts[0]["path"] as? String == directory.path("part-00001-of-0000\(parts.count).gguf"))
        #expect(try (object(planned.output)["parts"] as? [[String: Any]])?.count == parts.count)

        let merged = directory.path("merged.gguf")
        let last = try #require(parts.last?["path"] as? String)
        let result = try InferProcess.run(["merge", last, merged])
        #expect(result.status == 0 && result.output.contains("\(parts.count) parts"))
        #expect(try Data(contentsOf: URL(filePath: merged)) == Data(contentsOf: URL(filePath: model)))
        #expect(try InferProcess.run(["inspect", last, "--strict"]).status == 0)
        #expect(
            try InferProcess.run(["merge", model, directory.path("x.gguf")]).errors.contains("not part of a split"))
        #expect(try InferProcess.run(["merge", last, last]).status == 1)
    }

    @Test(arguments: [
        [], ["--max-size", "2X"], ["--max-size", "0"], ["--max-tensors", "0"], ["--max-size", "99999999999999999999"],
        ["--max-size", "1M", "--max-tensors", "1"], ["--max-size", "9999999999G"],
    ])
    func splitUsage(flags: [String]) throws {
        #expect(try InferProcess.run(["split", model, directory.path("p")] + flags).status == 64)
        #expect(try directory.contents() == ["model.gguf"])
    }

    @Test(arguments: [
        ("1000", 1000), ("5k", 5000), ("500M", 500_000_000), ("2GB", 2_000_000_000), ("2GiB", 2 << 30), ("1kib", 1024),
    ])
    func sizes(text: String, bytes: Int) { #expect(Split.bytes(text) == bytes) }
}
