/// A superblock of 256 values whose sub-blocks have small integer scales: value = d · scale · level.
///
/// Each sub-block's own best scale is found first; `d` is what makes the largest of them the end of the integer range.
/// Then, in turn, each integer scale moves by one where that helps, and `d` is fitted to all of them by least squares,
/// until nothing improves: the rounding of scales costs more than that of `d`.
struct SymmetricSuperblock<Levels: Grid> {
    private(set) var d: Float = 0
    private(set) var scales: [Int]

    /// - Parameters:
    ///   - parts: groups of 16 per sub-block.
    ///   - range: of the integer scales; its lower end is the one farther from zero.
    init(_ block: WeightedValues, parts: Int, range: ClosedRange<Int>) {
        let subblocks = (0..<block.groups / parts).map { block[$0 * parts..<($0 + 1) * parts] }
        let wanted = subblocks.map { ScaleSearch<Levels>.scale(of: $0) }
        scales = wanted.map { _ in 0 }
        let extreme = wanted.max { abs($0) < abs($1) } ?? 0
        d = (extreme / Float(range.lowerBound)).roundedToHalf
        guard d != 0 else { return }
        let (unit, ends) = (d, Float(range.lowerBound)...Float(range.upperBound))
        // Limited before it is a whole number: the scale of a huge weight is none.
        scales = wanted.map {
            let scale = ($0 / unit).rounded()
            return scale.isNaN ? 0 : Int(min(max(scale, ends.lowerBound), ends.upperBound))
        }
        var error = self.error(subblocks)
        for _ in 0..<3 {
            var next = self
            for (index, part) in subblocks.enumerated() { next.improveScale(index, part, range) }
            next.fitScale(subblocks)
            let nextError = next.error(subblocks)
            guard nextError < error else { break }
            (self, error) = (next, nextError)
        }
    }

    private mutating func improveScale(_ index: Int, _ part: WeightedValues, _ range: ClosedRange<Int>) {
        let now = scales[index]
        var least = Float.infinity
        for scale in [now, now - 1, now + 1] where range.contains(scale) {
            let error = ScaleSearch<Levels>.error(part, scale: d * Float(scale))
            if error < least { (least, scales[index]) = (error, scale) }
        }
    }

    private mutating func fitScale(_ subblocks: [WeightedValues]) {
        var (xq, qq): (Float, Float) = (0, 0)
        for (scale, part) in zip(scales, subblocks) {
            let sums = ScaleSearch<Levels>.sums(part, scale: d * Float(scale))
            xq += Float(scale) * sums.valueLevel
            qq += Float(scale * scale) * sums.levelLevel
        }
        let fitted = (xq / qq).roundedToHalf
        if qq > 0, fitted != 0 { d = fitted }
    }

    private func error(_ subblocks: [WeightedValues]) -> Float {
        zip(scales, subblocks).reduce(0) { $0 + ScaleSearch<Levels>.error($1.1, scale: d * Float($1.0)) }
    }
}

/// A superblock whose sub-blocks have an unsigned scale and an unsigned minimum each:
/// value = d · scale · level − dmin · minimum. Found as in `SymmetricSuperblock`.
struct AffineSuperblock<Levels: Grid> {
    private(set) var d: Float = 0
    private(set) var dmin: Float = 0
    private(set) var scales: [Int]
    private(set) var minima: [Int]

    /// - Parameters:
    ///   - parts: groups of 16 per sub-block.
    ///   - limit: the largest integer scale and minimum.
    init(_ block: WeightedValues, parts: Int, limit: Int) {
        let subblocks = (0..<block.groups / parts).map { block[$0 * parts..<($0 + 1) * parts] }
        let wanted = subblocks.map { AffineSearch<Levels>.fit($0) }
        d = ((wanted.map { $0.scale }.max() ?? 0) / Float(limit)).roundedToHalf
        dmin = ((wanted.map { $0.offset }.max() ?? 0) / Float(limit)).roundedToHalf
        let (d, dmin) = (d, dmin)
        func integer(_ value: Float, _ unit: Float) -> Int {
            // Limited before it is a whole number: the scale of a huge weight is none.
            unit > 0 && value > 0 ? Int(min((value / unit).rounded(), Float(limit))) : 0
        }
        scales = wanted.map { integer($0.scale, d) }
        minima = wanted.map { integer($0.offset, dmin) }
        var error = self.error(subblocks)
        for _ in 0..<3 {
            var next = self
            for (index, part) in subblocks.enumerated() { next.improve(index, part, limit) }
            next.fitScales(subblocks)
            let nextError = next.error(subblocks)
            guard nextError < error else { break }
            (self, error) = (next, nextError)
        }
    }

    private mutating func improve(_ index: Int, _ part: WeightedValues, _ limit: Int) {
        let now = (scales[index], minima[index])
        var least = Float.infinity
        for scale in [now.0, now.0 - 1, now.0 + 1] where 0...limit ~= scale {
            for minimum in [now.1, now.1 - 1, now.1 + 1] where 0...limit ~= minimum {
                let error = AffineSearch<Levels>.error(
                    part, scale: d * Float(scale), offset: dmin * Float(minimum))
                if error < least { (least, scales[index], minima[index]) = (error, scale, minimum) }
            }
        }
    }

    /// `d` and `dmin` by least squares, with the levels and the integers as they are.
    private mutating func fitScales(_ subblocks: [WeightedValues]) {
        var sums = Sums(signedOffset: false)
        for (index, part) in subblocks.enumerated() {
            let (scale, offset) = (d * Float(scales[index]), dmin * Float(minima[index]))
            let inverse = scale == 0 ? 0 : 1 / scale
            for group in 0..<part.groups {
                let level = Levels.nearest((part.values[group] + offset) * inverse)
                sums.add(
                    part.values[group], level: level * Float(scales[index]), offset: Float(minima[index]),
                    weight: part.weights[group])
            }
        }
        let fit: AffineSearch<Levels>.Fit = sums.solve()
        let (fitted, fittedMinimum) = (fit.scale.roundedToHalf, fit.offset.roundedToHalf)
        if fitted > 0 { (d, dmin) = (fitted, fittedMinimum) }
    }

    private func error(_ subblocks: [WeightedValues]) -> Float {
        subblocks.indices.reduce(0) { sum, index in
            sum
                + AffineSearch<Levels>.error(
                    subblocks[index], scale: d * Float(scales[index]), offset: dmin * Float(minima[index]))
        }
    }
}
