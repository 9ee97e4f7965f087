import GGUF
import ModelTools

/// What `infer inspect --diff` shows; its JSON form is this structure.
struct DifferenceReport: Encodable {
    struct Entry: Encodable {
        let key: String
        /// Absent where the file has no such key.
        let firstType: String?
        let secondType: String?
        let first: MetadataValue?
        let second: MetadataValue?
    }

    struct Description: Encodable {
        let type: String
        let dimensions: [Int]

        init(_ tensor: GGUFTensor) { (type, dimensions) = (tensor.type.name, tensor.dimensions) }
    }

    struct Distance: Encodable {
        /// Values that differ.
        let differing: Int
        /// Of those, pairs with a NaN or an infinity; the distances leave them out.
        let notFinite: Int
        let maximum: Double
        let rms: Double
        /// `rms` in units of the first tensor's root mean square.
        let relative: Double?

        init(_ distance: TensorDistance) {
            differing = distance.differing
            notFinite = distance.notFinite
            maximum = distance.maximum
            rms = distance.rms
            relative = distance.relative
        }
    }

    struct Tensor: Encodable {
        let name: String
        let first: Description?
        let second: Description?
        /// Where both have the same shape and types that the engine can read.
        var distance: Distance?
    }

    let first: String
    let second: String
    private(set) var metadata: [Entry] = []
    /// Those that differ in any way.
    private(set) var tensors: [Tensor] = []
    private(set) var equalTensors = 0

    var isEmpty: Bool { metadata.isEmpty && tensors.isEmpty }

    /// - Parameters:
    ///   - matches: which tensors are looked at.
    ///   - progress: called with the tensors compared so far and all there are.
    init(
        _ first: GGUFFile, _ second: GGUFFile, threads: Int, matches: (GGUFTensor) -> Bool,
        progress: (Int, Int) -> Void
    ) {
        self.first = first.path
        self.second = second.path
        let keys = first.metadata.keys + second.metadata.keys.filter { !first.metadata.contains($0) }
        // How a model is split says nothing about the model.
        for key in keys where !GGUFSplit.keys.contains(key) {
            let (a, b) = (first.metadata[key], second.metadata[key])
            guard a.map({ Self.encoded($0) }) != b.map({ Self.encoded($0) }) else { continue }
            metadata.append(
                Entry(
                    key: key, firstType: a?.typeDescription, secondType: b?.typeDescription,
                    first: a.map { MetadataValue($0, elements: 8) }, second: b.map { MetadataValue($0, elements: 8) }))
        }
        let scanner = TensorScanner(threads: threads)
        let all = (first.tensors + second.tensors.filter { first.tensor($0.name) == nil }).filter(matches)
        for (index, tensor) in all.enumerated() {
            progress(index, all.count)
            compare(tensor.name, first.tensor(tensor.name), second.tensor(tensor.name), scanner)
        }
    }

    /// Values as the format has them, so that a NaN equals itself.
    private static func encoded(_ value: GGUFValue) -> GGUFValue {
        switch value {
        case .float32(let number): .uint32(number.bitPattern)
        case .float64(let number): .uint64(number.bitPattern)
        default: value
        }
    }

    private mutating func compare(_ name: String, _ a: GGUFTensor?, _ b: GGUFTensor?, _ scanner: TensorScanner) {
        var row = Tensor(name: name, first: a.map { Description($0) }, second: b.map { Description($0) })
        if let a, let b, a.dimensions == b.dimensions {
            row.distance = scanner.distance(a, b).map { Distance($0) }
            if a.type == b.type, row.distance?.differing == 0 {
                equalTensors += 1
                return
            }
        }
        tensors.append(row)
    }

    var text: String {
        var lines = ["- \(first.printable())", "+ \(second.printable())"]
        if !metadata.isEmpty { lines += ["", "Metadata (\(metadata.count) differ)"] }
        for entry in metadata {
            lines.append("  \(entry.key.printable())")
            if let value = entry.first { lines.append("    - \(entry.firstType ?? "") \(value.text(limit: 72))") }
            if let value = entry.second { lines.append("    + \(entry.secondType ?? "") \(value.text(limit: 72))") }
        }
        if !tensors.isEmpty {
            lines += ["", "Tensors (\(tensors.count) differ, \(equalTensors) are the same)"]
            lines += TextTable.lines(
                [["tensor", "first", "second", "differing", "max", "rms", "relative"]] + tensors.map(Self.row))
        }
        if isEmpty { lines.append("no difference: \(equalTensors) tensors, all metadata") }
        return lines.joined(separator: "\n")
    }

    private static func row(_ tensor: Tensor) -> [String] {
        let describe = { (side: Description?) in side.map { "\($0.type) \(TextTable.shape($0.dimensions))" } ?? "–" }
        let start = [tensor.name.printable(), describe(tensor.first), describe(tensor.second)]
        guard let distance = tensor.distance else { return start }
        let spoilt = distance.notFinite > 0 ? " (\(distance.notFinite) not finite)" : ""
        return start + [
            "\(distance.differing)\(spoilt)", TextTable.number(distance.maximum), TextTable.number(distance.rms),
            distance.relative.map { TextTable.number($0) } ?? "–",
        ]
    }
}
