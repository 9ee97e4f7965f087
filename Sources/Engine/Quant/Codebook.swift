import CKernels
package import GGUF

/// The codebook of a format that writes several adjoining values as one index (IQ1, IQ2, IQ3).
///
/// `@unchecked Sendable`: the pointer leads to an immutable constant of the C library that is never freed.
package struct Codebook: @unchecked Sendable {
    private let table: UnsafePointer<ck_grid>

    /// - Returns: nil when the format has none.
    package init?(_ type: GGUFTensorType) {
        guard let table = ck_grid_find(type.rawValue) else { return nil }
        self.table = table
    }

    /// How many codes there are; an index is smaller.
    package var count: Int { Int(table.pointee.count) }
    /// Values per code.
    package var size: Int { Int(table.pointee.values) }
    /// The levels by number; those of IQ2 and IQ3 are magnitudes.
    package var levels: [Int] {
        let all = table.pointee.levels
        let levels = [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7].map { Int($0) }
        return table.pointee.bits == 2 ? Array(levels.prefix(3)) : levels
    }

    /// The number of each value's level.
    package func numbers(_ index: Int) -> [Int] {
        let (code, bits) = (Int(table.pointee.codes[index]), Int(table.pointee.bits))
        return (0..<size).map { code >> ($0 * bits) & (1 << bits - 1) }
    }

    /// The levels of the values.
    package subscript(_ index: Int) -> [Int] { numbers(index).map { levels[$0] } }

    /// Seven signs, and an eighth that makes the number of negative ones even.
    package static func evenSigns(_ bits: Int) -> Int { bits | (bits.nonzeroBitCount & 1) << 7 }

    /// What stands beside the codes.
    package enum Rule: Sendable {
        /// A sign for each value; of eight values with `evenSigns` an even number is negative.
        case freeSigns, evenSigns
        /// A shift by an eighth up or down, for eight values or for all that are chosen at once.
        case shiftPerEight, oneShift

        fileprivate var kernel: ck_grid_rule {
            switch self {
            case .freeSigns: CK_GRID_FREE_SIGNS
            case .evenSigns: CK_GRID_EVEN_SIGNS
            case .shiftPerEight: CK_GRID_SHIFT_PER_8
            case .oneShift: CK_GRID_ONE_SHIFT
            }
        }
    }

    /// The codes with the least Σ weight · (number − scale · value)².
    /// - Parameters:
    ///   - count: of the numbers and their weights, a multiple of 8.
    ///   - indices: room for one per `size` numbers.
    ///   - signs: room for one per 8 numbers: bit i is set where number i is negative; 255 where the shift is down.
    ///   - values: room for `count` levels with their sign or shift.
    package func choose(
        _ rule: Rule, _ numbers: UnsafePointer<Float>, weights: UnsafePointer<Float>, count: Int, scale: Float,
        indices: UnsafeMutablePointer<UInt16>, signs: UnsafeMutablePointer<UInt8>, values: UnsafeMutablePointer<Float>
    ) {
        ck_grid_choose(table, rule.kernel, numbers, weights, count, scale, indices, signs, values)
    }
}

extension GGUFTensorType {
    /// The levels of all codes, for the decoders: index, then value.
    func codebookLevels() -> [[Int]] {
        guard let codebook = Codebook(self) else { return [] }
        return (0..<codebook.count).map { codebook[$0] }
    }
}

extension BlockFormat {
    /// Values of one sign bit each, `bits` holding the first one lowest.
    static func signed(_ levels: [Int], _ bits: Int) -> [Int] {
        levels.enumerated().map { bits >> $0 & 1 == 0 ? $1 : -$1 }
    }
}
