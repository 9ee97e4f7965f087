import Engine
import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ModelTools

@Suite struct ConvertTests {
    // MARK: A whole model

    @Test func llamaFromEndToEnd() throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        let file = try folder.convert()
        #expect(file.metadata["general.architecture"]?.stringValue == "llama")
        #expect(file.metadata["llama.block_count"]?.int == 2)
        #expect(file.metadata["llama.attention.head_count_kv"]?.int == 2)
        #expect(file.metadata["llama.rope.dimension_count"]?.int == 16)
        #expect(file.metadata["general.sampling.top_k"]?.int == 20)
        #expect(file.metadata["tokenizer.chat_template"]?.stringValue == "{{ messages }}")
        #expect(file.tensors.count == folder.tensors.count)
        #expect(file.tensor("blk.1.ffn_down.weight")?.dimensions == [96, 64])
        #expect(file.floats("blk.1.ffn_down.weight") == folder.values["model.layers.1.mlp.down_proj.weight"])
        #expect(file.floats("output_norm.weight") == folder.values["model.norm.weight"])

        // Row 1 of a head of 16 is the first of its second half.
        let stored = try #require(folder.values["model.layers.0.self_attn.q_proj.weight"])
        let queries = file.floats("blk.0.attn_q.weight")
        #expect(queries[64..<128] == stored[8 * 64..<9 * 64])
        #expect(queries[(16 + 2) * 64..<(16 + 3) * 64] == stored[(16 + 1) * 64..<(16 + 2) * 64])

        let model = try Model.load(path: folder.target, options: EngineOptions(threads: 1, contextLength: 16))
        let generator = try model.makeGenerator()
        try generator.sync([256, 104, 105])
        #expect(generator.logits.count == 264)
        #expect(generator.logits.allSatisfy { $0.isFinite })

        let tokenizer = try Tokenizer(file.metadata)
        #expect(tokenizer.encode("hehi<tool>", addSpecial: true, parseSpecial: false) == [256, 259, 104, 105, 258])
        #expect(tokenizer.bos == 256)
        #expect(tokenizer.eos == 257)
        #expect(tokenizer.eot == 258)
        #expect(tokenizer.type(of: 256) == .control)
        #expect(tokenizer.type(of: 263) == .unused)
    }

    @Test(arguments: ["F16", "BF16", "Q8_0", "Q4_K_M"])
    func everyKindOfType(name: String) throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        let exact = try folder.convert("F32").floats("blk.0.ffn_up.weight")
        let file = try folder.convert(name)
        #expect(file.metadata["general.file_type"]?.int == GGUFFileType.number(name))
        #expect(file.tensor("blk.0.attn_norm.weight")?.type == .f32)
        let error = zip(exact, file.floats("blk.0.ffn_up.weight")).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        #expect(error / exact.reduce(0) { $0 + $1 * $1 } < 0.01)
        #expect(file.tensor("blk.0.ffn_up.weight")?.type != .f32)
    }

    @Test func shardsAndThreadsChangeNothing() throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        try folder.convert("Q8_0", threads: 1)
        let whole = try Data(contentsOf: URL(filePath: folder.target))
        try FileManager.default.removeItem(atPath: folder.directory.path("model.safetensors"))
        try folder.write(shards: 3)
        try folder.convert("Q8_0", threads: 3)
        #expect(try Data(contentsOf: URL(filePath: folder.target)) == whole)
    }

    @Test func withoutAWishTheTypeStays() throws {
        var folder = try ConvertFolder.llama()
        for tensor in folder.tensors {
            let halves = stride(from: 0, to: tensor.bytes.count, by: 4).flatMap { tensor.bytes[$0 + 2..<$0 + 4] }
            folder.set(tensor.name, "BF16", tensor.shape, halves)
        }
        try folder.write()
        let file = try folder.convert(nil)
        #expect(file.tensor("blk.0.attn_v.weight")?.type == .bf16)
        #expect(
            Array(try #require(file.tensor("blk.0.attn_v.weight")).bytes)
                == folder.tensors.first { $0.name == "model.layers.0.self_attn.v_proj.weight" }?.bytes)
    }

    @Test func llama3RotationBecomesATensor() throws {
        var folder = try ConvertFolder.llama()
        folder.config["rope_scaling"] = [
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        ]
        try folder.write()
        let divisors = try folder.convert().floats("rope_freqs.weight")
        #expect(divisors.count == 8)
        #expect(divisors.first == 1)
        #expect(divisors.last == 8)
        #expect(divisors == divisors.sorted())
    }

    // MARK: Number formats

    @Test func eightBitFloatsWithScales() throws {
        var folder = try ConvertFolder.llama()
        folder.config["quantization_config"] = ["quant_method": "fp8", "weight_block_size": [32, 16]]
        // 1.0 is 0x38, -2.5 is 0xc2, 448 is 0x7e.
        let codes: [UInt8] = [0x38, 0xc2, 0x7e, 0x01]
        let decoded: [Float] = [1, -2.5, 448, 0x1p-9]
        let bytes = (0..<96 * 64).map { codes[$0 % 4] }
        folder.set("model.layers.0.mlp.up_proj.weight", "F8_E4M3", [96, 64], bytes)
        let factors = (0..<3 * 4).map { Float($0 + 1) }
        folder.set("model.layers.0.mlp.up_proj.weight_scale_inv", [3, 4], factors)
        folder.set("model.layers.1.mlp.up_proj.weight", "F8_E4M3", [96, 64], bytes)
        folder.set("model.layers.1.mlp.up_proj.weight_scale", [], [0.5])
        folder.set("model.layers.1.mlp.up_proj.input_scale", [], [3])
        try folder.write()
        let file = try folder.convert()
        var expected: [Float] = []
        for row in 0..<96 {
            for column in 0..<64 { expected.append(decoded[column % 4] * factors[row / 32 * 4 + column / 16]) }
        }
        #expect(file.floats("blk.0.ffn_up.weight") == expected)
        #expect(file.floats("blk.1.ffn_up.weight") == (0..<96 * 64).map { decoded[$0 % 4] * 0.5 })
    }

    @Test func aScaleOfAnotherSizeIsRefused() throws {
        var folder = try ConvertFolder.llama()
        folder.set("model.layers.0.mlp.up_proj.weight", "F8_E4M3", [96, 64], [UInt8](repeating: 0, count: 96 * 64))
        folder.set("model.layers.0.mlp.up_proj.weight_scale_inv", [2, 2], [1, 1, 1, 1])
        try folder.write()
        #expect(folder.failure()?.contains("weight_scale_inv\" has shape [2, 2], expected [1, 1]") == true)
        folder.remove("model.layers.0.mlp.up_proj.weight_scale_inv")
        try folder.write()
        #expect(folder.failure()?.contains("weight_scale_inv\" is missing") == true)
    }

    @Test func fourBitBlocksAreRepacked() throws {
        // Two experts of two rows of 32: element e of row r has code (e + r) mod 16.
        var folder = try ConvertFolder()
        let codes = (0..<4).map { row in (0..<32).map { UInt8(($0 + row) % 16) } }
        let blocks = codes.flatMap { row in (0..<16).map { row[2 * $0] | row[2 * $0 + 1] << 4 } }
        folder.set("w_blocks", "U8", [2, 2, 1, 16], blocks)
        folder.set("w_scales", "U8", [2, 2, 1], [127, 128, 126, 127])
        try folder.write()
        let packed = try #require(try Checkpoint(folder: folder.path).packed("w"))
        #expect(packed.shape == [2, 2, 32])
        var bytes = [UInt8](repeating: 0, count: 4 * 17)
        // The second row first, to see that rows can be chosen.
        let values = TensorValues.rows(.packed(packed), count: 4) { [1, 0, 2, 3][$0] }
        #expect(values.isPacked)
        try bytes.withUnsafeMutableBytes { try values.readPacked(0..<4, into: try #require($0.baseAddress)) }
        let table: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
        let scales: [Float] = [2, 1, 0.5, 1]
        var expected: [Float] = []
        for (row, scale) in zip([1, 0, 2, 3], scales) {
            for code in codes[row] { expected.append((code < 8 ? table[Int(code)] : -table[Int(code) - 8]) * scale) }
        }
        #expect(try #require(QuantFormat.find(.mxfp4)).dequantize(row: bytes) == expected)
    }

    @Test func allBytesOfEightBitFloats() {
        #expect(EightBitFloat.e4m3[0x7f].isNaN)
        #expect(EightBitFloat.e4m3[0x80] == 0)
        #expect(EightBitFloat.e4m3[0x08] == 0x1p-6)
        #expect(EightBitFloat.e5m2[0x7b] == 57344)
        #expect(EightBitFloat.e5m2[0x7c] == .infinity)
        #expect(EightBitFloat.e8m0[130] == 8)
        for bits in UInt16.min...UInt16.max {
            let value = Float(binary16: bits)
            #expect(value.isNaN || value.halfBits == bits)
        }
    }

    // MARK: Order of values

    @Test func orders() throws {
        var folder = try ConvertFolder()
        folder.set("m", [4, 3], (0..<12).map { Float($0) })
        try folder.write()
        let matrix = TensorValues.stored(try #require(try Checkpoint(folder: folder.path).tensor("m")))
        func read(_ values: TensorValues) throws -> [Float] {
            var all: [Float] = []
            // Row by row, and in one go.
            for row in 0..<values.rows {
                var buffer = [Float](repeating: -1, count: values.columns)
                try buffer.withUnsafeMutableBufferPointer {
                    try values.read(row..<row + 1, into: try #require($0.baseAddress))
                }
                all += buffer
            }
            var whole = [Float](repeating: -1, count: values.rows * values.columns)
            try whole.withUnsafeMutableBufferPointer {
                try values.read(0..<values.rows, into: try #require($0.baseAddress))
            }
            #expect(whole == all)
            return all
        }
        #expect(try read(.rows(matrix, count: 2) { 3 - $0 }) == [9, 10, 11, 6, 7, 8])
        #expect(try read(.columns(matrix, source: [2, 0])) == [2, 0, 5, 3, 8, 6, 11, 9])
        #expect(try read(.transposed(matrix, groups: 2, .init())) == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
        #expect(try read(.folded(matrix, columns: 2)) == (0..<12).map { Float($0) })
        #expect(try read(.stacked([matrix, .rows(matrix, count: 1) { $0 }])).suffix(4) == [11, 0, 1, 2])
        #expect(try read(.changed(.rows(matrix, count: 1) { $0 }, .plusOne)) == [1, 2, 3])
        #expect(try read(.changed(.rows(matrix, count: 1) { $0 }, .negativeExponential)).first == -1)
    }

    // MARK: What cannot be converted

    @Test func missingMisshapedAndUnexpectedTensors() throws {
        var folder = try ConvertFolder.llama()
        folder.remove("model.layers.1.mlp.gate_proj.weight")
        try folder.write()
        #expect(
            folder.failure()
                == "tensor \"model.layers.1.mlp.gate_proj.weight\" is missing, expected one of shape [96, 64]")
        folder.add("model.layers.1.mlp.gate_proj.weight", [64, 96])
        try folder.write()
        #expect(
            folder.failure()
                == "tensor \"model.layers.1.mlp.gate_proj.weight\" has shape [64, 96], expected [96, 64]")
        folder.add("model.layers.1.mlp.gate_proj.weight", [96, 64])
        folder.add("model.layers.1.mlp.extra.weight", [2, 2])
        try folder.write()
        #expect(folder.failure()?.contains("no place for this tensor: model.layers.1.mlp.extra.weight") == true)
        #expect(try folder.directory.contents().contains("out.gguf") == false)
    }

    @Test(arguments: [Float.nan, .infinity])
    func numbersThatAreNone(value: Float) throws {
        var folder = try ConvertFolder.llama()
        var floats = try #require(folder.values["model.layers.1.mlp.up_proj.weight"])
        floats[3 * 64 + 5] = value
        folder.set("model.layers.1.mlp.up_proj.weight", [96, 64], floats)
        try folder.write()
        #expect(
            folder.failure()
                == "tensor \"blk.1.ffn_up.weight\": row 3, column 5 is \(value), expected a finite number")
        // Neither the file nor a part of it.
        #expect(try folder.directory.contents().filter { $0.contains("out") }.isEmpty)
    }

    @Test func numbersBeyondBinary16() throws {
        var folder = try ConvertFolder.llama()
        var floats = try #require(folder.values["lm_head.weight"])
        floats[9] = 70000
        folder.set("lm_head.weight", [264, 64], floats)
        try folder.write()
        #expect(folder.failure("F16")?.contains("holds 70000.0, more than F16 can") == true)
        #expect(folder.failure("BF16") == nil)
    }

    @Test func unknownArchitecture() throws {
        let folder = try ConvertFolder.llama("NoSuchForCausalLM")
        try folder.write()
        let failure = try #require(folder.failure())
        #expect(failure.contains("\"NoSuchForCausalLM\""))
        #expect(failure.contains("Qwen3ForCausalLM"))
    }

    @Test(arguments: [
        ("num_attention_heads", #""four""#, "num_attention_heads is four"),
        ("num_hidden_layers", "1099511627776", "is 1099511627776, expected a whole number from 1 to 1024"),
        ("hidden_size", "-64", "hidden_size is -64"),
        ("num_key_value_heads", "3", "num_key_value_heads is 3, expected a divisor of 4"),
        ("hidden_act", #""gelu""#, "hidden_act is gelu, expected silu"),
        ("rope_scaling", #"{"rope_type":"strange"}"#, "rope_type is strange"),
        ("rope_scaling", #"{"rope_type":"yarn"}"#, "rope_scaling.factor is missing"),
    ])
    func hostileConfigurations(key: String, json: String, expected: String) throws {
        var folder = try ConvertFolder.llama()
        folder.config[key] = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
        try folder.write()
        #expect(folder.failure()?.contains(expected) == true, "\(folder.failure() ?? "none")")
    }

    @Test func stoppingLeavesNothing() throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        let plan = try ConvertPlan(folder: folder.path)
        #expect(throws: ConvertError.cancelled) {
            try Converter(plan, threads: 1).write(to: folder.target) { done, total in done < total / 2 }
        }
        #expect(try folder.directory.contents().filter { $0.contains("out") }.isEmpty)
    }

    // MARK: Adapters

    @Test func adapter() throws {
        let model = try ConvertFolder.llama()
        try model.write()
        var folder = try ConvertFolder()
        let prefix = "base_model.model.model.layers.1."
        for (name, rows, columns) in [("self_attn.q_proj", 64, 64), ("mlp.down_proj", 64, 96)] {
            folder.add("\(prefix)\(name).lora_A.weight", [4, columns])
            folder.add("\(prefix)\(name).lora_B.weight", [rows, 4])
        }
        try folder.json(
            "adapter_config.json", ["peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "x/y"])
        try folder.directory.write(try ConvertFolder.file(folder.tensors), to: "adapter_model.safetensors")
        #expect(folder.failure(nil)?.contains("--base") == true)
        let file = try folder.convert(nil, base: model.path)
        #expect(file.metadata["general.type"]?.stringValue == "adapter")
        #expect(file.metadata["adapter.type"]?.stringValue == "lora")
        #expect(file.metadata["adapter.lora.alpha"]?.double == 8)
        #expect(file.metadata["general.architecture"]?.stringValue == "llama")
        #expect(file.tensors.count == 4)
        #expect(file.tensor("blk.1.ffn_down.weight.lora_a")?.dimensions == [96, 4])
        #expect(file.tensor("blk.1.ffn_down.weight.lora_b")?.dimensions == [4, 64])
        #expect(file.floats("blk.1.attn_q.weight.lora_a") == folder.values["\(prefix)self_attn.q_proj.lora_A.weight"])
        let stored = try #require(folder.values["\(prefix)self_attn.q_proj.lora_B.weight"])
        #expect(file.floats("blk.1.attn_q.weight.lora_b")[4..<8] == stored[8 * 4..<9 * 4])
    }

    @Test func adaptersThatAreNotPlain() throws {
        let model = try ConvertFolder.llama()
        try model.write()
        var folder = try ConvertFolder()
        folder.add("base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", [4, 64])
        folder.add("base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight", [32, 4])
        func failure(_ settings: [String: Any]) throws -> String {
            try folder.json(
                "adapter_config.json", ["peft_type": "LORA", "r": 4, "lora_alpha": 8].merging(settings) { $1 })
            try folder.directory.write(try ConvertFolder.file(folder.tensors), to: "adapter_model.safetensors")
            do { try folder.convert(nil, base: model.path) } catch { return "\(error)" }
            return "none"
        }
        #expect(try failure([:]) == "none")
        #expect(try failure(["use_dora": true]).contains("use_dora is true"))
        #expect(try failure(["peft_type": "IA3"]).contains("peft_type is IA3"))
        #expect(try failure(["rank_pattern": ["x": 2]]).contains("rank_pattern"))
        folder.add("base_model.model.model.layers.0.self_attn.strange.lora_A.weight", [4, 64])
        folder.add("base_model.model.model.layers.0.self_attn.strange.lora_B.weight", [32, 4])
        #expect(try failure([:]).contains("self_attn.strange.weight"))
        folder.add("base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight", [16, 4])
        #expect(try failure([:]).contains("[16, 4]"))
    }
}
