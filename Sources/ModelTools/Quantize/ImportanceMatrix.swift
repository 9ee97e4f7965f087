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
        let gaps: Gaps

        /// From the sums of squares, [experts][columns], and the rows that each expert met.
        init(_ name: String, _ sums: [Float], _ counts: [Float], _ hash: inout FNV1a) throws(ImportanceError) {
            guard !counts.isEmpty, sums.count >= counts.count else {
                throw .shape(name, sums: [sums.count], counts: [counts.count])
            }
            columns = sums.count / counts.count
            var values = sums
            var (unseen, empty) = (0, 0)
            for (expert, count) in counts.enumerated() {
                guard count.isFinite, count >= 0 else { throw .number(name, "count \(count)", expert: expert) }
                for column in expert * columns..<(expert + 1) * columns {
                    guard sums[column].isFinite, sums[column] >= 0 else {
                        throw .number(name, "sum \(sums[column])", expert: expert)
                    }
                    guard count > 0 || sums[column] == 0 else { throw .sumWithoutCount(name, expert: expert) }
                    values[column] = count > 0 ? sums[column] / count : 0
                    // A count that is a fraction.
                    guard values[column].isFinite else { throw .number(name, "mean \(values[column])", expert: expert) }
                    if count > 0, sums[column] == 0 { empty += 1 }
                }
                if count == 0 { unseen += 1 }
            }
            gaps = Gaps(
                experts: counts.count > 1 ? counts.count : 0, unseen: counts.count > 1 ? unseen : 0,
                matrices: counts.count == 1 ? unseen : 0, columns: empty)
            hash.add(name)
            for value in values { hash.add(value.bitPattern) }
            self.values = values
        }
    }

    /// What the text did not reach, and what is therefore rounded as without importance.
    package struct Gaps: Equatable, Sendable {
        /// Matrices of experts, and those of them that met no token.
        package var experts = 0
        package var unseen = 0
        /// Other matrices that met no token.
        package var matrices = 0
        /// Columns that were always zero.
        package var columns = 0

        package init(experts: Int = 0, unseen: Int = 0, matrices: Int = 0, columns: Int = 0) {
            (self.experts, self.unseen, self.matrices, self.columns) = (experts, unseen, matrices, columns)
        }

        /// A line for people; nil where nothing is missing.
        package var text: String? {
            var parts: [String] = []
            if unseen > 0 { parts.append("\(unseen) of \(experts) experts' matrices") }
            if matrices > 0 { parts.append("\(matrices) \(matrices == 1 ? "matrix" : "matrices")") }
            if columns > 0 { parts.append("\(columns) \(columns == 1 ? "column" : "columns")") }
            guard !parts.isEmpty else { return nil }
            return "the importance matrix knows nothing of \(parts.joined(separator: ", ")): rounded as without one"
        }
    }

    package var gaps: Gaps {
        means.values.reduce(into: Gaps()) { sum, entry in
            sum.experts += entry.gaps.experts
            sum.unseen += entry.gaps.unseen
            sum.matrices += entry.gaps.matrices
            sum.columns += entry.gaps.columns
        }
    }

    /// Whether it was made from this model, before anything is written.
    /// - Throws: `ImportanceError.otherModel`, `.noneOfThis`.
    func check(_ tensors: [GGUFTensor]) throws(ImportanceError) {
        var meets = means.isEmpty
        for tensor in tensors where means[tensor.name] != nil {
            meets = true
            guard let columns = tensor.dimensions.first else { continue }
            _ = try weights(for: tensor.name, columns: columns, experts: tensor.dimensions.dropFirst(2).reduce(1, *))
        }
        if !meets, let name = means.keys.min() { throw .noneOfThis(name) }
    }

    /// What was just collected.
    /// - Throws: `ImportanceError.number`.
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
            guard sums.type == .f32, counts.type == .f32, experts > 0, sums.dimensions.first ?? 0 > 0,
                counts.dimensions.reduce(1, *) == experts
            else {
                throw ImportanceError.shape(name, sums: sums.dimensions, counts: counts.dimensions)
            }
            means[name] = try Entry(name, sums.floats, counts.floats, &hash)
        }
        self.means = means
        fingerprint = String(hash.value, radix: 16)
    }

    /// [experts][columns], 0 where nothing is known, or nil where the matrix was not watched.
    /// - Throws: `ImportanceError.otherModel` when the shapes disagree.
    func weights(for tensor: String, columns: Int, experts: Int) throws(ImportanceError) -> [Float]? {
        guard let entry = means[tensor] else { return nil }
        guard entry.columns == columns, entry.values.count == columns * experts else {
            throw .otherModel(tensor, found: [entry.columns, entry.values.count / entry.columns], [columns, experts])
        }
        return entry.values
    }

    func covers(_ tensor: String) -> Bool { means[tensor] != nil }

    static let sumsSuffix = ".in_sum2"
    static let countsSuffix = ".counts"
}

package enum ImportanceError: Error, CustomStringConvertible {
    case otherFile(String, String?)
    case noCounts(String)
    case shape(String, sums: [Int], counts: [Int])
    case number(String, String, expert: Int)
    case sumWithoutCount(String, expert: Int)
    case noneOfThis(String)
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
        case .number(let name, let found, let expert):
            "importance matrix: \"\(name)\", expert \(expert), has the \(found), expected a finite number that is not "
                + "negative"
        case .sumWithoutCount(let name, let expert):
            "importance matrix: \"\(name)\", expert \(expert), has sums that are not 0 with a count of 0"
        case .noneOfThis(let name):
            "importance matrix: none of its entries, such as \"\(name)\", is a matrix of this model"
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
