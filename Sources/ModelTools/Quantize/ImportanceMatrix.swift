import GGUF

/// How much each column of each matrix matters: the mean square of the activations that meet it.
///
/// The file is the GGUF form that llama.cpp's `llama-imatrix` writes (`tools/imatrix/imatrix.cpp`): for each matrix
/// `NAME.in_sum2` with the sums of squares, [columns, experts], and `NAME.counts`, [1, experts].
package struct ImportanceMatrix: Sendable {
    /// By tensor name: [experts][columns], mean squares.
    private let means: [String: Entry]
    /// Names this matrix among others.
    let fingerprint: String

    private struct Entry: Sendable {
        let columns: Int
        let values: [Float]

        /// From the sums of squares, [experts][columns], and the rows that each expert met.
        init(_ name: String, _ sums: [Float], _ counts: [Float], _ hash: inout FNV1a) throws(ImportanceError) {
            columns = sums.count / max(counts.count, 1)
            var values = sums
            for (expert, count) in counts.enumerated() {
                // An expert that no text reached: all columns alike.
                for column in expert * columns..<(expert + 1) * columns {
                    values[column] = count > 0 ? values[column] / count : 1
                }
            }
            guard values.allSatisfy({ $0.isFinite && $0 >= 0 }) else { throw .notFinite(name) }
            hash.add("\(name) \(values.reduce(0, +).bitPattern)")
            self.values = values
        }
    }

    /// What was just collected.
    /// - Throws: `ImportanceError.notFinite`.
    package init(_ collector: ImportanceCollector) throws(ImportanceError) {
        var means: [String: Entry] = [:]
        var hash = FNV1a()
        for (name, sums) in collector.all.sorted(by: { $0.key < $1.key }) {
            means[name] = try Entry(name, sums.squares, sums.counts.map { Float($0) }, &hash)
        }
        self.means = means
        fingerprint = String(hash.value, radix: 16)
    }

    /// - Throws: `GGUFError`, `ImportanceError`.
    package init(path: String) throws {
        let file = try GGUFFile(path: path)
        guard file.metadata["general.type"]?.stringValue == "imatrix" else {
            throw ImportanceError.otherFile(path, file.metadata["general.type"]?.stringValue)
        }
        var means: [String: Entry] = [:]
        var hash = FNV1a()
        for sums in file.tensors where sums.name.hasSuffix(Self.sumsSuffix) {
            let name = String(sums.name.dropLast(Self.sumsSuffix.count))
            guard let counts = file.tensor(name + Self.countsSuffix) else { throw ImportanceError.noCounts(name) }
            let experts = sums.dimensions.dropFirst().reduce(1, *)
            guard sums.type == .f32, counts.type == .f32, counts.dimensions.reduce(1, *) == experts else {
                throw ImportanceError.shape(name, sums: sums.dimensions, counts: counts.dimensions)
            }
            means[name] = try Entry(name, sums.floats, counts.floats, &hash)
        }
        self.means = means
        fingerprint = String(hash.value, radix: 16)
    }

    /// [experts][columns], or nil where the matrix was not watched.
    /// - Throws: `ImportanceError.otherModel` when the shapes disagree.
    func weights(for tensor: String, columns: Int, experts: Int) throws(ImportanceError) -> [Float]? {
        guard let entry = means[tensor] else { return nil }
        guard entry.columns == columns, entry.values.count == columns * experts else {
            throw .otherModel(tensor, found: [entry.columns, entry.values.count / entry.columns], [columns, experts])
        }
        return entry.values
    }

    static let sumsSuffix = ".in_sum2"
    static let countsSuffix = ".counts"
}

package enum ImportanceError: Error, CustomStringConvertible {
    case otherFile(String, String?)
    case noCounts(String)
    case shape(String, sums: [Int], counts: [Int])
    case notFinite(String)
    case otherModel(String, found: [Int], [Int])

    package var description: String {
        switch self {
        case .otherFile(let path, let type):
            "\(path) is no importance matrix: general.type is \(type.map { "\"\($0)\"" } ?? "missing"), "
                + "expected \"imatrix\""
        case .noCounts(let name): "importance matrix: \"\(name)\" has sums but no counts"
        case .shape(let name, let sums, let counts):
            "importance matrix: \"\(name)\" has sums of shape \(sums) and counts of shape \(counts), expected F32 with "
                + "one count per expert"
        case .notFinite(let name): "importance matrix: \"\(name)\" holds a number that is negative or not finite"
        case .otherModel(let name, let found, let expected):
            "importance matrix: \"\(name)\" is [columns, experts] \(found), the model has \(expected)"
        }
    }
}

extension GGUFTensor {
    /// The values of an F32 tensor.
    var floats: [Float] {
        (0..<bytes.count / 4).map { Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
    }
}
