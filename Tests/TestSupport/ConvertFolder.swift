import Foundation

/// A model folder as it is published, small and made of random numbers.
package struct ConvertFolder {
    package struct Tensor {
        package var name: String
        package var type: String
        /// The row length last.
        package var shape: [Int]
        package var bytes: [UInt8]
    }

    package let directory: TemporaryDirectory
    package var config: [String: Any]
    package var tensors: [Tensor] = []
    package private(set) var values: [String: [Float]] = [:]
    private var random = SeededRandom(seed: 1)

    package var path: String { directory.url.path }
    package var target: String { directory.path("out.gguf") }

    package init(config: [String: Any] = [:]) throws {
        directory = try TemporaryDirectory()
        self.config = config
    }

    /// A decoder of the Llama form with two layers: width 64, four heads of 16 for queries and two for keys.
    package static func llama(_ architecture: String = "LlamaForCausalLM") throws -> ConvertFolder {
        var folder = try ConvertFolder(config: [
            "architectures": [architecture], "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "intermediate_size": 96, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 256,
            "eos_token_id": [257, 258],
        ])
        folder.add("model.embed_tokens.weight", [264, 64])
        folder.add("lm_head.weight", [264, 64])
        folder.add("model.norm.weight", [64])
        for layer in 0..<2 {
            let prefix = "model.layers.\(layer)."
            folder.add("\(prefix)input_layernorm.weight", [64])
            folder.add("\(prefix)post_attention_layernorm.weight", [64])
            folder.add("\(prefix)self_attn.q_proj.weight", [64, 64])
            folder.add("\(prefix)self_attn.k_proj.weight", [32, 64])
            folder.add("\(prefix)self_attn.v_proj.weight", [32, 64])
            folder.add("\(prefix)self_attn.o_proj.weight", [64, 64])
            folder.add("\(prefix)mlp.gate_proj.weight", [96, 64])
            folder.add("\(prefix)mlp.up_proj.weight", [96, 64])
            folder.add("\(prefix)mlp.down_proj.weight", [64, 96])
        }
        try folder.writeTokenizer()
        return folder
    }

    // MARK: Tensors

    package mutating func add(_ name: String, _ shape: [Int]) {
        set(name, shape, random.floats(shape.reduce(1, *), scale: 0.2))
    }

    package mutating func set(_ name: String, _ shape: [Int], _ floats: [Float]) {
        values[name] = floats
        set(name, "F32", shape, floats.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) })
    }

    package mutating func set(_ name: String, _ type: String, _ shape: [Int], _ bytes: [UInt8]) {
        tensors.removeAll { $0.name == name }
        tensors.append(Tensor(name: name, type: type, shape: shape, bytes: bytes))
    }

    package mutating func remove(_ name: String) { tensors.removeAll { $0.name == name } }

    // MARK: Files

    package func json(_ name: String, _ value: Any) throws {
        try directory.write([UInt8](try JSONSerialization.data(withJSONObject: value)), to: name)
    }

    /// The bytes of one safetensors file.
    package static func file(_ tensors: [Tensor], change: (inout [String: Any]) -> Void = { _ in }) throws -> [UInt8] {
        var header: [String: Any] = ["__metadata__": ["format": "pt"]]
        var data: [UInt8] = []
        for tensor in tensors {
            header[tensor.name] = [
                "dtype": tensor.type, "shape": tensor.shape,
                "data_offsets": [data.count, data.count + tensor.bytes.count],
            ]
            data += tensor.bytes
        }
        change(&header)
        let text = [UInt8](try JSONSerialization.data(withJSONObject: header))
        return withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text + data
    }

    /// Writes `config.json` and the weights.
    package func write(shards: Int = 1) throws {
        if !config.isEmpty { try json("config.json", config) }
        guard shards > 1 else {
            try directory.write(try Self.file(tensors), to: "model.safetensors")
            return
        }
        var map: [String: String] = [:]
        for shard in 0..<shards {
            let name = "model-0000\(shard + 1)-of-0000\(shards).safetensors"
            let part = tensors.enumerated().filter { $0.offset % shards == shard }.map(\.element)
            for tensor in part { map[tensor.name] = name }
            try directory.write(try Self.file(part), to: name)
        }
        try json("model.safetensors.index.json", ["metadata": ["total_size": 1], "weight_map": map])
    }

    /// Every byte a token, one merge, three added tokens: 256 and 257 control, 258 not.
    package func writeTokenizer(pattern: String = ConvertFolder.llama3Pattern) throws {
        var vocabulary = Dictionary(uniqueKeysWithValues: Self.byteAlphabet.enumerated().map { ($1, $0) })
        vocabulary["he"] = 259
        try json(
            "tokenizer.json",
            [
                "model": ["type": "BPE", "vocab": vocabulary, "merges": [["h", "e"]], "ignore_merges": true],
                "pre_tokenizer": [
                    "type": "Sequence",
                    "pretokenizers": [
                        ["type": "Split", "pattern": ["Regex": pattern], "behavior": "Isolated", "invert": false],
                        ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
                    ],
                ],
                "post_processor": [
                    "type": "TemplateProcessing",
                    "single": [
                        ["SpecialToken": ["id": "<s>", "type_id": 0]], ["Sequence": ["id": "A", "type_id": 0]],
                    ],
                ],
                "added_tokens": [
                    ["id": 256, "content": "<s>", "special": true], ["id": 257, "content": "</s>", "special": true],
                    ["id": 258, "content": "<tool>", "special": false],
                ],
            ] as [String: Any])
        try json(
            "tokenizer_config.json",
            ["bos_token": "<s>", "eos_token": ["content": "</s>"], "chat_template": "{{ messages }}"] as [String: Any])
        try json("generation_config.json", ["top_k": 20, "temperature": 0.6, "eos_token_id": [257, 258]])
    }

    package static let llama3Pattern =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
        + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

    /// The stand-ins of the 256 bytes, in their order.
    private static let byteAlphabet: [String] = {
        let printable = Array(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF)
        var next = 0x100
        return (0..<256).map { byte in
            var scalar = byte
            if !printable.contains(byte) {
                scalar = next
                next += 1
            }
            return String(Character(UnicodeScalar(UInt32(scalar)) ?? " "))
        }
    }()
}
