import ChatTemplates
import Foundation
package import GGUF

/// What a model folder, or an adapter's, becomes: metadata and tensors with their number formats. Nothing is written.
package struct ConvertPlan {
    package struct Item {
        package let name: String
        /// In GGUF order, the row length first.
        package let dimensions: [Int]
        package let type: GGUFTensorType
        let values: TensorValues

        package var byteCount: Int { type.byteCount(of: dimensions.reduce(1, *)) ?? 0 }
    }

    package let architecture: String
    package let metadata: [(String, GGUFValue)]
    package let items: [Item]
    /// Tensors of the folder that the file has no use for.
    package let leftOut: [String]
    /// Of `type`, as in "BF16".
    package let mixture: QuantMixture

    package var byteCount: Int { items.reduce(0) { $0 + $1.byteCount } }

    package var isAdapter: Bool { metadata.contains { $0.0 == "general.type" && $0.1.stringValue == "adapter" } }

    /// The classes of `transformers` that can be converted, sorted.
    package static var architectures: [String] { HFFamily.names }

    /// Reads everything but the weights.
    /// - Parameters:
    ///   - folder: of a model, or of a LoRA adapter (`adapter_config.json`).
    ///   - base: the folder of the model that an adapter belongs to; where it is nil the adapter names it.
    ///   - mixture: the number formats; nil for that of the folder.
    /// - Throws: `ConvertError`.
    package init(folder: String, base: String? = nil, mixture: QuantMixture? = nil) throws(ConvertError) {
        let folder = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw .file(path: folder, reason: "no such folder")
        }
        if let adapter = try JSONFile.readIfPresent("\(folder)/adapter_config.json") {
            try self.init(adapter: adapter, folder: folder, base: base, mixture: mixture)
        } else {
            try self.init(model: folder, mixture: mixture)
        }
    }

    private init(model folder: String, mixture: QuantMixture?) throws(ConvertError) {
        let config = ModelConfig(try JSONFile.read("\(folder)/config.json"))
        let family = try HFFamily.find(config.architecture)
        let blockSize = config.object("quantization_config")?["weight_block_size"]?.arrayValue?.map { $0.intValue ?? 0 }
        try Self.refuseOtherQuantization(config)
        let checkpoint = try Checkpoint(folder: folder, blockSize: blockSize)
        let blueprint = Blueprint(architecture: family.architecture(config), config: config, source: checkpoint)
        try family.describe(blueprint)
        try blueprint.finish()
        let mixture = mixture ?? checkpoint.ownMixture
        let rows = blueprint.items.first { $0.name == "token_embd.weight" }?.dimensions.last ?? 0
        let tokenizer = try TokenizerFiles(folder: folder, config: config).metadata(
            rows: rows, architecture: blueprint.architecture)

        architecture = blueprint.architecture
        var metadata = blueprint.metadata
        metadata.insert(("general.type", .string("model")), at: 1)
        metadata.insert(("general.name", .string(Self.name(of: folder))), at: 2)
        metadata.insert(("general.size_label", .string(SizeLabel.text(blueprint.items))), at: 3)
        metadata += try Self.pooling(folder, blueprint.architecture)
        metadata += try Self.samplingDefaults(folder)
        metadata += Self.formatKeys(mixture)
        self.metadata = metadata + tokenizer
        items = try Self.items(blueprint, mixture)
        leftOut = checkpoint.leftOut + blueprint.leftOut
        self.mixture = mixture
    }

    private init(
        adapter: JSONObject, folder: String, base: String?, mixture: QuantMixture?
    ) throws(ConvertError) {
        let lora = try LoRAAdapter(adapter, folder: folder)
        let baseFolder = base ?? lora.base ?? ""
        guard FileManager.default.fileExists(atPath: "\(baseFolder)/config.json") else {
            throw .file(
                path: baseFolder.isEmpty ? folder : baseFolder,
                reason: "the adapter needs its model's config.json; name the folder with --base")
        }
        let config = ModelConfig(try JSONFile.read("\(baseFolder)/config.json"))
        let family = try HFFamily.find(config.architecture)
        let blueprint = Blueprint(architecture: family.architecture(config), config: config, source: lora)
        try family.describe(blueprint)
        try blueprint.finish()
        architecture = blueprint.architecture
        // Adapters are small and added to sums: floats unless asked otherwise.
        let mixture = mixture ?? QuantMixture.float
        metadata =
            [
                (GGUFFormat.architectureKey, .string(blueprint.architecture)), ("general.type", .string("adapter")),
                ("general.name", .string(Self.name(of: folder))), ("adapter.type", .string("lora")),
                ("adapter.lora.alpha", .float32(lora.alpha)),
            ] + Self.formatKeys(mixture)
        var items: [Item] = []
        for item in blueprint.items {
            for (name, dimensions, values) in try lora.parts(of: item) {
                items.append(
                    Item(
                        name: name, dimensions: dimensions,
                        type: Self.narrow(mixture.base, rowLength: dimensions[0]), values: values))
            }
        }
        self.items = items
        leftOut = blueprint.leftOut
        self.mixture = mixture
    }

    // MARK: Formats

    private static func items(_ blueprint: Blueprint, _ mixture: QuantMixture) throws(ConvertError) -> [Item] {
        func number(_ key: String) -> Int? {
            blueprint.metadata.last { $0.0 == "\(blueprint.architecture).\(key)" }?.1.int
        }
        let isValue = { (name: String) in QuantMixture.Role(tensorName: name).isValueProjection }
        let heads = number("attention.head_count") ?? 1
        let facts = QuantMixture.ModelFacts(
            blocks: number("block_count") ?? 0,
            queryHeadsPerKeyHead: heads / max(1, number("attention.head_count_kv") ?? heads),
            experts: number("expert_count") ?? 0,
            tiedEmbeddings: !blueprint.items.contains { $0.name == "output.weight" },
            valueProjections: blueprint.items.count { isValue($0.name) })
        var valueIndex = 0
        return blueprint.items.map { item in
            var type = GGUFTensorType.f32
            if item.values.isPacked {
                type = .mxfp4
            } else if item.values.isInteger {
                type = .i32
            } else if QuantizePlan.isQuantizable(item.name, item.dimensions) {
                type = mixture.type(
                    ofMatrix: item.name, dimensions: item.dimensions, valueIndex: valueIndex, facts: facts)
            }
            if isValue(item.name) { valueIndex += 1 }
            return Item(name: item.name, dimensions: item.dimensions, type: type, values: item.values)
        }
    }

    private static func narrow(_ type: GGUFTensorType, rowLength: Int) -> GGUFTensorType {
        rowLength.isMultiple(of: type.blockSize) ? type : .f16
    }

    private static func refuseOtherQuantization(_ config: ModelConfig) throws(ConvertError) {
        guard let method = config.object("quantization_config")?["quant_method"]?.stringValue else { return }
        guard ["fp8", "mxfp4", "compressed-tensors"].contains(method) else {
            throw .config(key: "quantization_config.quant_method", found: method, expected: "fp8 or mxfp4, or none")
        }
    }

    // MARK: Metadata

    private static func formatKeys(_ mixture: QuantMixture) -> [(String, GGUFValue)] {
        var keys: [(String, GGUFValue)] = [("general.quantization_version", .uint32(2))]
        if let number = GGUFFileType.number(mixture.name) {
            keys.append((GGUFFileType.key, .uint32(UInt32(number))))
        }
        return keys
    }

    private static func name(of folder: String) -> String {
        URL(filePath: folder).standardizedFileURL.lastPathComponent
    }

    /// How vectors of a text's tokens become one, as sentence-transformers notes it (`llama_pooling_type`).
    private static func pooling(_ folder: String, _ architecture: String) throws(ConvertError) -> [(String, GGUFValue)]
    {
        let settings = try JSONFile.readIfPresent("\(folder)/1_Pooling/config.json") ?? JSONObject()
        let modes: [(String, UInt32)] = [
            ("pooling_mode_mean_tokens", 1), ("pooling_mode_cls_token", 2), ("pooling_mode_lasttoken", 3),
        ]
        guard let mode = modes.first(where: { settings[$0.0]?.boolValue == true }) else { return [] }
        return [("\(architecture).pooling_type", .uint32(mode.1))]
    }

    /// What `generation_config.json` says about drawing tokens, under the names of `gguf`'s constants.
    private static func samplingDefaults(_ folder: String) throws(ConvertError) -> [(String, GGUFValue)] {
        guard let settings = try JSONFile.readIfPresent("\(folder)/generation_config.json"),
            settings["do_sample"]?.boolValue != false
        else { return [] }
        var keys: [(String, GGUFValue)] = []
        if let topK = settings["top_k"]?.intValue, topK >= 0 {
            keys.append(("general.sampling.top_k", .int32(Int32(clamping: topK))))
        }
        for (key, name) in [("top_p", "top_p"), ("min_p", "min_p"), ("temperature", "temp")] {
            if let value = settings[key]?.doubleValue, value.isFinite {
                keys.append(("general.sampling.\(name)", .float32(Float(value))))
            }
        }
        if let penalty = settings["repetition_penalty"]?.doubleValue, penalty.isFinite, penalty != 1 {
            keys.append(("general.sampling.penalty_repeat", .float32(Float(penalty))))
        }
        return keys
    }
}

extension QuantMixture {
    static let float = QuantMixture(name: "F32") ?? QuantMixture.all[0]
}

extension Checkpoint: TensorSource {
    var isAdapter: Bool { false }

    func values(_ name: String) -> TensorValues? {
        if let packed = packed(name) { return .packed(packed) }
        return tensor(name).map { .stored($0) }
    }

    /// What keeps the weights as they are, or next to it: sixteen bits for eight.
    fileprivate var ownMixture: QuantMixture {
        let name =
            switch types.first {
            case .f32, .f64: "F32"
            case .f16: "F16"
            default: "BF16"
            }
        return QuantMixture(name: name) ?? .float
    }
}
