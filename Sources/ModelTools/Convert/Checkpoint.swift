import ChatTemplates
import Foundation

/// The weights of a model folder: one safetensors file or several with an index.
///
/// Names are those of a plain language model: prefixes that a model with eyes or ears puts before its language part
/// are taken away, and its other parts are left out. Scales that belong to a weight come with it.
struct Checkpoint {
    private var tensors: [String: StoredTensor] = [:]
    private var packed: [String: PackedTensor] = [:]
    /// Names of the parts that no text model needs.
    private(set) var leftOut: [String] = []
    private let folder: String

    static let index = "model.safetensors.index.json"

    /// - Throws: `ConvertError.file`, `.format`, `.missingTensor`, `.tensorShape`.
    init(folder: String, single: String = "model.safetensors", blockSize: [Int]? = nil) throws(ConvertError) {
        self.folder = folder
        let shards = try Self.open(folder, single: single)
        var stored: [String: StoredTensor] = [:]
        for shard in shards {
            for (name, entry) in shard.entries {
                let plain = Self.plainName(name)
                guard !Self.isForeign(plain) else {
                    leftOut.append(name)
                    continue
                }
                guard stored.updateValue(StoredTensor(name: name, file: shard, entry: entry), forKey: plain) == nil
                else {
                    throw .format(
                        path: shard.path, field: "tensor \"\(name)\"", found: "in two files", expected: "in one")
                }
            }
        }
        leftOut.sort()
        try bind(stored, blockSize: blockSize)
    }

    var names: [String] { (Array(tensors.keys) + Array(packed.keys)).sorted() }
    func tensor(_ name: String) -> StoredTensor? { tensors[name] }
    /// A matrix, or stack of matrices, in four bits: `NAME_blocks` and `NAME_scales`.
    func packed(_ name: String) -> PackedTensor? { packed[name] }

    /// Every number format of the weights, the most frequent one first (by elements).
    var types: [ScalarType] {
        var counts: [ScalarType: Int] = [:]
        for tensor in tensors.values where tensor.type.isFloat && tensor.shape.count > 1 {
            counts[tensor.type, default: 0] += tensor.elementCount
        }
        return counts.sorted { ($0.value, $0.key.rawValue) > ($1.value, $1.key.rawValue) }.map(\.key)
    }

    // MARK: Files

    private static func open(_ folder: String, single: String) throws(ConvertError) -> [SafetensorsFile] {
        func path(_ name: String) -> String { "\(folder)/\(name)" }
        guard let index = try JSONFile.readIfPresent(path(index)), single == "model.safetensors" else {
            return [try SafetensorsFile(path: path(single))]
        }
        guard let map = index["weight_map"]?.objectValue else {
            throw .format(path: path(Self.index), field: "weight_map", found: "nothing", expected: "an object")
        }
        var files: [String: SafetensorsFile] = [:]
        for (tensor, value) in map.members {
            guard let name = value.stringValue, !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")),
                name.utf8.first != UInt8(ascii: ".")
            else {
                throw .format(
                    path: path(Self.index), field: "weight_map of \"\(tensor.prefix(200))\"",
                    found: value.stringValue ?? "no text", expected: "the name of a file in the folder")
            }
            if files[name] == nil { files[name] = try SafetensorsFile(path: path(name)) }
            guard files[name]?.entries[tensor] != nil else {
                throw .format(
                    path: path(name), field: "tensor \"\(tensor.prefix(200))\"", found: "missing",
                    expected: "there, as \(Self.index) says")
            }
        }
        return files.sorted { $0.key < $1.key }.map(\.value)
    }

    // MARK: Names

    private static func plainName(_ name: String) -> String {
        for (prefix, plain) in [
            ("model.language_model.", "model."), ("language_model.model.", "model."),
            ("language_model.lm_head", "lm_head"),
            ("model.text_model.", "model."), ("bert.", ""),
        ] where name.hasPrefix(prefix) {
            return plain + name.dropFirst(prefix.count)
        }
        return name
    }

    private static func isForeign(_ name: String) -> Bool {
        let prefixes = [
            "model.visual.", "visual.", "model.vision_tower.", "vision_tower.", "vision_model.", "model.audio_tower.",
            "audio_tower.", "model.multi_modal_projector.", "multi_modal_projector.", "model.embed_vision.",
            "model.embed_audio.", "patch_merger.",
        ]
        return prefixes.contains { name.hasPrefix($0) }
    }

    // MARK: Scales

    /// FP8 weights come with scales under the name of the weight: `_scale_inv` (DeepSeek, one per block) or `_scale`
    /// (one per tensor or per row). Four-bit ones are two tensors, `_blocks` and `_scales` (gpt-oss).
    private mutating func bind(_ stored: [String: StoredTensor], blockSize: [Int]?) throws(ConvertError) {
        for (name, tensor) in stored {
            if name.hasSuffix("_blocks"), let scales = stored["\(name.dropLast(7))_scales"] {
                packed[String(name.dropLast(7))] = try PackedTensor(blocks: tensor, scales: scales)
                continue
            }
            if name.hasSuffix("_scales"), stored["\(name.dropLast(7))_blocks"] != nil { continue }
            if let weight = Self.weightOfScale(name), stored[weight]?.type.isEightBitFloat == true { continue }
            // Scales of activations: the engine computes with floats.
            if name.hasSuffix(".input_scale") || name.hasSuffix(".activation_scale") { continue }
            guard tensor.type.isEightBitFloat else {
                tensors[name] = tensor
                continue
            }
            guard let scale = stored["\(name)_scale_inv"] ?? stored["\(name)_scale"] ?? stored[Self.shortScale(name)]
            else {
                throw .missingTensor(name: "\(name)_scale_inv", expected: [])
            }
            tensors[name] = try tensor.scaled(by: scale, blockSize: blockSize)
        }
    }

    /// `X.scale` of `X.weight`, as DeepSeek-V4 has it.
    private static func shortScale(_ weight: String) -> String {
        weight.hasSuffix(".weight") ? "\(weight.dropLast(7)).scale" : "\(weight).scale"
    }

    private static func weightOfScale(_ name: String) -> String? {
        if name.hasSuffix(".scale") { return "\(name.dropLast(6)).weight" }
        for suffix in ["_scale_inv", "_scale"] where name.hasSuffix(suffix) {
            return String(name.dropLast(suffix.count))
        }
        return nil
    }
}

extension ScalarType {
    var isEightBitFloat: Bool { self == .f8e4m3 || self == .f8e5m2 }
}
