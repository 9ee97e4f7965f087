import Engine
import GGUF

/// A superblock of 256 values in a format whose values come from a codebook: value = d · scale · (level with its sign or
/// shift), with odd integer scales.
///
/// Each group's own best scale is found first, among those that map its largest value onto one of the levels or near the
/// greatest. Then `d` is chosen such that the odd multiples lie nearest to these scales, where an error counts as the
/// squares of the levels say; then each integer, with new codes, and `d` once more by least squares.
struct CodebookBlock {
    /// Without the format's own factor.
    private(set) var d: Float = 0
    /// Half of the odd integer, per group.
    private(set) var scales: [Int]
    private(set) var indices: [UInt16]
    /// Per eight values: their signs, or 255 where the shift is down.
    private(set) var signs = [UInt8](repeating: 0, count: 32)
    /// The levels, with signs or shifts.
    private(set) var levels = [Float](repeating: 0, count: 256)

    private var format: CodebookFormat

    init(_ block: WeightedValues, _ format: CodebookFormat) {
        self.format = format
        let groups = 256 / format.groupSize
        scales = [Int](repeating: 0, count: groups)
        indices = [UInt16](repeating: 0, count: 256 / format.codebook.size)
        let wanted = (0..<groups).map { bestScale($0, block) }
        d = bestUnit(wanted)
        guard d != 0 else { return }
        scales = wanted.map { nearestInteger($0.scale / d) }
        var error: Float = 0
        for group in 0..<groups { error += improveScale(group, block) }
        var refined = self
        refined.d = refined.fitted(block)
        guard refined.d != 0 else { return }
        let refinedError = (0..<groups).reduce(0) { $0 + refined.choose($1, block, integer: refined.scales[$1]) }
        if refinedError < error { self = refined }
    }

    /// The scale of the values 16 g ..< 16 (g + 1).
    func scale(ofSixteen group: Int) -> Float { d * Float(2 * scales[16 * group / format.groupSize] + 1) }

    /// Chooses anew for values `range` of what is now to be rounded, with the scale as it is.
    /// - Returns: what they are rounded to.
    mutating func choose(
        _ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, at range: Range<Int>
    ) -> [Float] {
        let scale = self.scale(ofSixteen: range.lowerBound / 16)
        choose(values, weights, at: range, scale: scale)
        return levels[range].map { scale * $0 }
    }

    private mutating func choose(
        _ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, at range: Range<Int>, scale: Float
    ) {
        let (first, size) = (range.lowerBound, format.codebook.size)
        indices.withUnsafeMutableBufferPointer { indices in
            signs.withUnsafeMutableBufferPointer { signs in
                levels.withUnsafeMutableBufferPointer { levels in
                    guard let index = indices.baseAddress, let sign = signs.baseAddress, let level = levels.baseAddress
                    else { return }
                    format.codebook.choose(
                        format.rule, values, weights: weights, count: range.count, scale: scale,
                        indices: index + first / size, signs: sign + first / 8, values: level + first)
                }
            }
        }
    }

    // MARK: The search

    private struct Wanted {
        var scale: Float = 0
        /// Σ weight · level²: what the square of the scale's error counts.
        var weight: Float = 0
    }

    private func range(_ group: Int) -> Range<Int> { group * format.groupSize..<(group + 1) * format.groupSize }

    /// Chooses codes for a group and returns Σ w x l and Σ w l².
    private mutating func sums(_ group: Int, _ block: WeightedValues, scale: Float) -> (product: Float, square: Float) {
        let range = range(group)
        let values = UnsafeRawPointer(block.values).assumingMemoryBound(to: Float.self) + range.lowerBound
        let weights = UnsafeRawPointer(block.weights).assumingMemoryBound(to: Float.self) + range.lowerBound
        choose(values, weights, at: range, scale: scale)
        var (product, square): (Float, Float) = (0, 0)
        for (index, level) in levels[range].enumerated() {
            product += weights[index] * values[index] * level
            square += weights[index] * level * level
        }
        return (product, square)
    }

    private mutating func bestScale(_ group: Int, _ block: WeightedValues) -> Wanted {
        let parts = block[range(group).lowerBound / 16..<range(group).upperBound / 16]
        let extreme = abs(parts.extreme)
        guard extreme > smallest else { return Wanted() }
        var best = Wanted()
        var gain: Float = 0
        func attempt(_ scale: Float) -> Bool {
            let (product, square) = sums(group, block, scale: scale)
            guard product > 0, square > 0, product * (product / square) > gain * 1.000_001 else { return false }
            gain = product * (product / square)
            best = Wanted(scale: product / square, weight: square)
            return true
        }
        for candidate in format.candidates { _ = attempt(extreme / candidate) }
        // The codes of a better scale may be better still.
        for _ in 0..<2 where best.scale > 0 { guard attempt(best.scale) else { break } }
        return best
    }

    /// A unit whose odd multiples are near to the wanted scales.
    private func bestUnit(_ wanted: [Wanted]) -> Float {
        let largest = wanted.reduce(0) { max($0, $1.scale) }
        guard largest > 0 else { return 0 }
        let limit = Float(2 * format.limit + 1)
        var (best, least) = (Float(0), Float.infinity)
        for step in -format.limit...8 {
            let unit = stored(largest / (limit + Float(step) / 2))
            guard unit > 0 else { continue }
            let error = wanted.reduce(Float(0)) { sum, group in
                let difference = group.scale - unit * Float(2 * nearestInteger(group.scale / unit) + 1)
                return sum + group.weight * difference * difference
            }
            if error < least { (best, least) = (unit, error) }
        }
        return best
    }

    private func nearestInteger(_ scale: Float) -> Int {
        Int(min(max(((scale - 1) / 2).rounded(), 0), Float(format.limit)))
    }

    /// As the block's binary16 says it.
    private func stored(_ unit: Float) -> Float { (unit / format.factor).roundedToHalf * format.factor }

    private mutating func improveScale(_ group: Int, _ block: WeightedValues) -> Float {
        let now = scales[group]
        var (best, least) = (now, Float.infinity)
        for integer in [now, now - 1, now + 1] where 0...format.limit ~= integer {
            let error = choose(group, block, integer: integer)
            if error < least { (best, least) = (integer, error) }
        }
        return choose(group, block, integer: best)
    }

    /// - Returns: the error, less Σ w x².
    private mutating func choose(_ group: Int, _ block: WeightedValues, integer: Int) -> Float {
        scales[group] = integer
        let scale = d * Float(2 * integer + 1)
        let (product, square) = sums(group, block, scale: scale)
        return scale * (scale * square - 2 * product)
    }

    /// The unit with the least error for the codes as they are.
    private func fitted(_ block: WeightedValues) -> Float {
        let values = UnsafeRawPointer(block.values).assumingMemoryBound(to: Float.self)
        let weights = UnsafeRawPointer(block.weights).assumingMemoryBound(to: Float.self)
        var (product, square): (Float, Float) = (0, 0)
        for index in 0..<256 {
            let level = levels[index] * Float(2 * scales[index / format.groupSize] + 1)
            product += weights[index] * values[index] * level
            square += weights[index] * level * level
        }
        return product > 0 ? stored(product / square) : 0
    }
}

/// How a format with a codebook writes its blocks.
struct CodebookFormat: Sendable {
    let type: GGUFTensorType
    let codebook: Codebook
    let rule: Codebook.Rule
    /// Values that share a scale.
    let groupSize: Int
    /// Integers 1, 3, … 2 · limit + 1 are scales.
    let limit: Int
    /// What the block's binary16 is multiplied with.
    let factor: Float
    /// What a group's largest value may be mapped to.
    let candidates: [Float]
    let store: @Sendable (CodebookBlock, BlockBuffer) -> Void

    /// - Returns: nil where the engine has no codebook for the type, which no type below is.
    init?(
        _ type: GGUFTensorType, _ rule: Codebook.Rule, groupSize: Int, limit: Int, factor: Float,
        store: @escaping @Sendable (CodebookBlock, BlockBuffer) -> Void
    ) {
        guard let codebook = Codebook(type) else { return nil }
        (self.type, self.codebook, self.rule, self.store) = (type, codebook, rule, store)
        (self.groupSize, self.limit, self.factor) = (groupSize, limit, factor)
        let shift: Float = rule == .oneShift || rule == .shiftPerEight ? 0.125 : 0
        let levels = codebook.levels.suffix(4).map { Float($0) }.filter { $0 > 0 }.flatMap { [$0 - shift, $0 + shift] }
        let highest = (levels.max() ?? 1)
        candidates = Array(Set(levels + [0.75, 0.85, 0.93, 1.08, 1.2].map { $0 * highest })).sorted()
    }

    /// Rounds columns one eighth of 64 after another, and moves those behind them (see `CompensationStep`).
    func compensate(_ step: CompensationStep, _ row: Int, _ scratch: UnsafeMutableRawPointer) {
        // One shift for all of a group is chosen for all of it at once.
        let unit = rule == .oneShift ? groupSize : 8
        step.forEachBlock(row, scratch) { view, target, start, x in
            var block = CodebookBlock(view, self)
            for first in stride(from: 0, to: 256, by: unit) {
                let rounded = block.choose(x + start + first, target + 256 + first, at: first..<first + unit)
                for (index, value) in rounded.enumerated() { step.settle(row, start + first + index, at: value) }
            }
            store(block, step.target(row, start))
        }
    }

    static let all: [CodebookFormat] = [
        CodebookFormat(.iq2_XXS, .evenSigns, groupSize: 32, limit: 15, factor: 0.125) { block, out in
            for group in 0..<8 {
                for index in 0..<4 { out[2 + 8 * group + index] = UInt8(block.indices[4 * group + index]) }
                out.storeSevenSigns(block, group, at: 6 + 8 * group)
            }
            out.storeHalf(block.d * 8, at: 0)
        },
        CodebookFormat(.iq2_XS, .evenSigns, groupSize: 16, limit: 15, factor: 0.125) { block, out in
            for index in 0..<32 {
                let word = block.indices[index] | UInt16(block.signs[index] & 127) << 9
                out[2 + 2 * index] = UInt8(word & 255)
                out[3 + 2 * index] = UInt8(word >> 8)
            }
            out.storeScaleHalves(block, at: 66)
            out.storeHalf(block.d * 8, at: 0)
        },
        CodebookFormat(.iq2_S, .freeSigns, groupSize: 16, limit: 15, factor: 0.125) { block, out in
            out.storeLowerIndices(block, at: 2)
            for index in 0..<32 { out[34 + index] = block.signs[index] }
            for byte in 0..<8 {
                out[66 + byte] = (0..<4).reduce(0) { $0 | UInt8(block.indices[4 * byte + $1] >> 8) << UInt8(2 * $1) }
            }
            out.storeScaleHalves(block, at: 74)
            out.storeHalf(block.d * 8, at: 0)
        },
        CodebookFormat(.iq3_XXS, .evenSigns, groupSize: 32, limit: 15, factor: 0.25) { block, out in
            out.storeLowerIndices(block, at: 2)
            for group in 0..<8 { out.storeSevenSigns(block, group, at: 66 + 4 * group) }
            out.storeHalf(block.d * 4, at: 0)
        },
        CodebookFormat(.iq3_S, .freeSigns, groupSize: 32, limit: 15, factor: 1) { block, out in
            out.storeLowerIndices(block, at: 2)
            for byte in 0..<8 {
                out[66 + byte] = (0..<8).reduce(0) { $0 | UInt8(block.indices[8 * byte + $1] >> 8) << UInt8($1) }
            }
            for index in 0..<32 { out[74 + index] = block.signs[index] }
            out.storeScaleHalves(block, at: 106)
            out.storeHalf(block.d, at: 0)
        },
        CodebookFormat(.iq1_S, .oneShift, groupSize: 32, limit: 7, factor: 1) { block, out in
            out.storeLowerIndices(block, at: 2)
            for group in 0..<8 {
                var word = UInt16(block.scales[group]) << 12 | (block.signs[4 * group] == 0 ? 0 : 0x8000)
                for index in 0..<4 { word |= (block.indices[4 * group + index] >> 8) << UInt16(3 * index) }
                out[34 + 2 * group] = UInt8(word & 255)
                out[35 + 2 * group] = UInt8(word >> 8)
            }
            out.storeHalf(block.d, at: 0)
        },
        CodebookFormat(.iq1_M, .shiftPerEight, groupSize: 16, limit: 7, factor: 1) { block, out in
            out.storeLowerIndices(block, at: 0)
            for byte in 0..<16 {
                let halves = (0..<2).map { UInt8(block.indices[2 * byte + $0] >> 8) | block.signs[2 * byte + $0] & 8 }
                out[32 + byte] = halves[0] | halves[1] << 4
            }
            let d = block.d.halfBits
            for word in 0..<4 {
                var bits = (d >> UInt16(4 * word) & 15) << 12
                for index in 0..<4 { bits |= UInt16(block.scales[4 * word + index]) << UInt16(3 * index) }
                out[48 + 2 * word] = UInt8(bits & 255)
                out[49 + 2 * word] = UInt8(bits >> 8)
            }
        },
    ].compactMap { $0 }
}

extension BlockBuffer {
    /// The lower eight bits of all indices.
    fileprivate func storeLowerIndices(_ block: CodebookBlock, at offset: Int) {
        for (index, code) in block.indices.enumerated() { self[offset + index] = UInt8(code & 255) }
    }

    /// Four bits per scale, the first of two in the low half.
    fileprivate func storeScaleHalves(_ block: CodebookBlock, at offset: Int) {
        for byte in 0..<block.scales.count / 2 {
            self[offset + byte] = UInt8(block.scales[2 * byte] | block.scales[2 * byte + 1] << 4)
        }
    }

    /// Seven of the signs of each eight values, and the scale of the 32 above them.
    fileprivate func storeSevenSigns(_ block: CodebookBlock, _ group: Int, at offset: Int) {
        var word = UInt32(block.scales[group]) << 28
        for index in 0..<4 { word |= UInt32(block.signs[4 * group + index] & 127) << UInt32(7 * index) }
        for byte in 0..<4 { self[offset + byte] = UInt8(truncatingIfNeeded: word >> UInt32(8 * byte)) }
    }
}
