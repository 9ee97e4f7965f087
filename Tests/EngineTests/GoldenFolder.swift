import Foundation
import GGUF
import TestSupport
import Testing

@testable import Engine

/// One folder of reference outputs: tiny random models with the logits of the reference implementation.
/// The folders are found through the environment variable `INFER_GOLDENS`.
struct GoldenFolder: Sendable, CustomTestStringConvertible {
    struct Prompt: Decodable, Sendable {
        let tokens: [Int32]
        let logitsFile: String
        let positions: [Int]
        let greedy: [Int32]?
        /// Present where the prompt stands for an image with positions of its own.
        let positionIdsThw: [[Int]]?
        let mtpLogitsFile: String?
        /// Some of the tokens stand for pictures.
        let image: Bool?
        /// Which pictures, in the order of the prompt; nil: the only one.
        let images: [Int]?

        var isText: Bool { image != true && positionIdsThw == nil }
    }

    struct Picture: Decodable, Sendable {
        let embeddingsFile: String
        let embeddingsShape: [Int]
        let deepstackFiles: [String]?
    }

    struct Variant: Decodable, Sendable {
        let file: String
        let llamacppVsDequantMaxAbs: Float
        let llamacppVsDequantRms: Float
    }

    struct Meta: Decodable, Sendable {
        let ggufArchitecture: String?
        let prompts: [Prompt]
        let variants: [String: Variant]?
        let image: Picture?
        let images: [Picture]?

        var pictures: [Picture] { images ?? image.map { [$0] } ?? [] }
    }

    let url: URL
    let meta: Meta

    var testDescription: String { url.lastPathComponent }
    var model: String { url.appending(path: "model-f32.gguf").path }

    /// Every folder whose architecture the registry knows.
    static let all: [GoldenFolder] = {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let roots = [SharedData.goldens, SharedData.furtherGoldens].compactMap { $0 }
        let folders = roots.flatMap { root in SharedData.goldenNames(in: root).map { root.appending(path: $0) } }
        return folders.compactMap { url in
            guard let data = try? Data(contentsOf: url.appending(path: "meta.json")),
                let meta = try? decoder.decode(Meta.self, from: data), let architecture = meta.ggufArchitecture,
                Registry.names.contains(architecture)
            else { return nil }
            return GoldenFolder(url: url, meta: meta)
        }
    }()

    static let float = all.filter { $0.meta.variants == nil }
    static let quantized: [GoldenVariant] = all.flatMap { folder in
        (folder.meta.variants ?? [:]).sorted { $0.key < $1.key }.map {
            GoldenVariant(folder: folder, type: $0.key, variant: $0.value)
        }
    }

    /// The model with float weights throughout, so that activations are not rounded either: the few files with MXFP4
    /// experts have theirs expanded, which is what the reference did.
    func floatFile() throws -> GGUFFile {
        let file = try GGUFFile(path: model)
        let changes = Self.unstored[testDescription] ?? [:]
        guard !changes.isEmpty || file.tensors.contains(where: { $0.type == .mxfp4 }) else { return file }
        var copy = ToyFile()
        copy.metadata = file.metadata.keys.compactMap { key in file.metadata[key].map { (key, $0) } }
        for (key, value) in changes { copy[key] = value }
        for tensor in file.tensors {
            if tensor.type == .mxfp4, let format = QuantFormat.find(.mxfp4) {
                copy.floats(tensor.name, tensor.dimensions, format.dequantize(row: [UInt8](tensor.bytes)))
            } else {
                copy.tensor(tensor.name, tensor.dimensions, tensor.type, [UInt8](tensor.bytes))
            }
        }
        return try copy.file()
    }

    /// What the reference had from its configuration and the format has no key for: phimoe's factor on cosine and
    /// sine, in whose place the converter writes the value of a formula.
    private static let unstored: [String: [String: GGUFValue]] = [
        "phimoe": ["phimoe.rope.scaling.attn_factor": .float32(1.2)]
    ]

    /// Little-endian float32 rows of logits.
    func rows(_ file: String) throws -> [[Float]] {
        try Self.rows(url.appending(path: file), columns: Self.vocabulary)
    }

    static func rows(_ file: URL, columns: Int) throws -> [[Float]] {
        let data = try Data(contentsOf: file)
        let values = data.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
            }
        }
        return stride(from: 0, to: values.count, by: columns).map { [Float](values[$0..<$0 + columns]) }
    }

    /// All golden models share it.
    static let vocabulary = 512
}

struct GoldenVariant: Sendable, CustomTestStringConvertible {
    let folder: GoldenFolder
    let type: String
    let variant: GoldenFolder.Variant

    var testDescription: String { "\(folder.testDescription) \(type)" }
}

/// How far two rows of logits are apart.
struct LogitsDifference {
    private(set) var maximum: Float = 0
    private(set) var sumOfSquares: Double = 0
    private(set) var count = 0
    /// Rows whose best token differs although the reference is sure of it.
    private(set) var argmaxErrors = 0

    var rms: Double { (sumOfSquares / Double(max(count, 1))).squareRoot() }

    /// - Parameter margin: the gap between the reference's two best logits from which the best must agree.
    mutating func add(_ found: [Float], reference: [Float], margin: Float) {
        for (a, b) in zip(found, reference) {
            // A NaN anywhere must show.
            maximum = (a - b).isNaN ? .infinity : max(maximum, abs(a - b))
            sumOfSquares += Double(a - b) * Double(a - b)
        }
        count += reference.count
        let sorted = reference.sorted(by: >)
        if sorted[0] - sorted[1] > margin, argmax(found) != argmax(reference) { argmaxErrors += 1 }
    }
}

func argmax(_ values: some Collection<Float>) -> Int32 {
    var best: (index: Int, value: Float) = (0, -.infinity)
    for (index, value) in values.enumerated() where value > best.value { best = (index, value) }
    return Int32(best.index)
}
