package import Foundation
import GGUF

/// The description of a laptop-class model: true shapes, names and metadata, without weights.
///
/// Presets are JSON files in `models/presets/`; see the README there for the fields.
package struct Preset: Sendable, Decodable {
    package let description: String
    /// Where the numbers come from.
    package let source: String
    package private(set) var blocks: Int
    package private(set) var metadata: [Entry]
    package let vocabulary: Vocabulary
    package let tensors: [Tensor]

    package struct Entry: Sendable, Decodable {
        package let key: String
        package let value: Value
    }

    /// Integers become uint32, integer arrays int32; `{"f32": x}` is a float.
    package enum Value: Sendable, Decodable {
        case int(UInt32), bool(Bool), string(String), float(Float), ints([Int32]), bools([Bool])

        private enum Keys: String, CodingKey { case f32 }

        package init(from decoder: any Decoder) throws {
            if let keyed = try? decoder.container(keyedBy: Keys.self) {
                self = .float(try keyed.decode(Float.self, forKey: .f32))
                return
            }
            let single = try decoder.singleValueContainer()
            if let value = try? single.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? single.decode(UInt32.self) {
                self = .int(value)
            } else if let value = try? single.decode(String.self) {
                self = .string(value)
            } else if let value = try? single.decode([Bool].self) {
                self = .bools(value)
            } else {
                self = .ints(try single.decode([Int32].self))
            }
        }
    }

    package struct Vocabulary: Sendable, Decodable {
        /// `tokenizer.ggml.pre`
        package let pre: String
        package let tokens: Int
    }

    /// One tensor, or one per block when the name begins with `blk.*.`.
    package struct Tensor: Sendable, Decodable {
        package let name: String
        /// In GGUF order, the row length first.
        package let shape: [Int]
        /// Default: a matrix with deviation 1/√(row length), in the chosen format.
        package let values: Values?
        /// Which blocks have it; default all.
        package let only: Selection?
        /// A fixed format, for files that are published in one only (MXFP4 experts).
        package let type: String?
    }

    package enum Values: String, Sendable, Decodable {
        /// F32, around 1.
        case norm
        /// F32 matrix or kernel, deviation 1/√(row length).
        case float
        /// F32, small.
        case bias
        /// F32 in [-1, -0.05]: the decay factors of recurrent layers (`ssm_a`).
        case decay
        /// F32, 1: frequency divisors.
        case one
    }

    /// Blocks `first`, `first + every`, …, or all but these; or the listed `blocks`.
    package struct Selection: Sendable, Decodable {
        package let first: Int?
        package let every: Int?
        package let inverted: Bool?
        package let blocks: [Int]?

        func contains(_ block: Int) -> Bool {
            if let blocks { return blocks.contains(block) }
            let first = first ?? 0
            return (block >= first && (block - first) % (every ?? 1) == 0) != (inverted ?? false)
        }
    }

    package enum Failure: Error, CustomStringConvertible {
        case unknown(name: String, folder: String, known: [String])
        case invalid(path: String, reason: String)

        package var description: String {
            switch self {
            case .unknown(let name, let folder, let known):
                "no preset \"\(name)\" in \(folder); there are: \(known.joined(separator: ", "))"
            case .invalid(let path, let reason):
                "\(path) is not a valid preset: \(reason)"
            }
        }
    }

    /// Reads `NAME.json` in `folder`, or the file `name` when it is a path.
    /// - Throws: `Failure`.
    package static func load(_ name: String, folder: URL) throws(Failure) -> Preset {
        let isPath = name.contains("/") || name.hasSuffix(".json")
        let url = isPath ? URL(fileURLWithPath: name) : folder.appendingPathComponent("\(name).json")
        guard let data = try? Data(contentsOf: url) else {
            throw .unknown(name: name, folder: folder.path, known: names(in: folder))
        }
        let preset: Preset
        do { preset = try JSONDecoder().decode(Preset.self, from: data) } catch {
            throw .invalid(path: url.path, reason: "\(error)")
        }
        if let reason = preset.fault { throw .invalid(path: url.path, reason: reason) }
        return preset
    }

    /// The same model with only its first blocks, for measurements that a whole one would take too long for; its name
    /// says so. Nil if it has fewer.
    package func shortened(to blocks: Int) -> Preset? {
        guard 1...self.blocks ~= blocks else { return nil }
        var preset = self
        preset.blocks = blocks
        preset.metadata = metadata.map { entry in
            let value: Value =
                switch entry.value {
                case .int where entry.key.hasSuffix(".block_count"): .int(UInt32(blocks))
                // One value per block.
                case .ints(let values) where values.count == self.blocks: .ints(Array(values.prefix(blocks)))
                case .bools(let values) where values.count == self.blocks: .bools(Array(values.prefix(blocks)))
                case .string(let name) where entry.key == "general.name": .string("\(name), \(blocks) layers")
                default: entry.value
                }
            return Entry(key: entry.key, value: value)
        }
        return preset
    }

    /// The names of the presets in a folder, sorted.
    package static func names(in folder: URL) -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
    }

    /// Numbers that would trap or ask for more memory than any model needs.
    private var fault: String? {
        guard 1...1000 ~= blocks else { return "blocks is \(blocks), expected 1…1000" }
        guard 300...1_000_000 ~= vocabulary.tokens else {
            return "vocabulary.tokens is \(vocabulary.tokens), expected 300…1000000"
        }
        for tensor in tensors {
            guard 1...4 ~= tensor.shape.count, tensor.shape.allSatisfy({ 1...1 << 24 ~= $0 }) else {
                return "tensor \(tensor.name) has shape \(tensor.shape), expected 1…4 sizes of 1…2^24"
            }
            if let every = tensor.only?.every, every < 1 { return "tensor \(tensor.name): every is \(every)" }
            if let type = tensor.type, GGUFTensorType(name: type) == nil {
                return "tensor \(tensor.name) has unknown type \(type)"
            }
        }
        return nil
    }
}
