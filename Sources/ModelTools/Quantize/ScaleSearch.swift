/// One block's values and how much each of them matters, 16 at a time.
struct WeightedValues {
    /// `groups` vectors of 16 values.
    let values: UnsafePointer<SIMD16<Float>>
    /// The same number of positive weights: how much the square of an error counts.
    let weights: UnsafePointer<SIMD16<Float>>
    let groups: Int

    subscript(part: Range<Int>) -> WeightedValues {
        WeightedValues(values: values + part.lowerBound, weights: weights + part.lowerBound, groups: part.count)
    }

    /// The value farthest from zero, with its sign.
    var extreme: Float {
        let (low, high) = range
        return -low > high ? low : high
    }

    /// The least and the greatest value.
    var range: (low: Float, high: Float) {
        var (low, high) = (values[0], values[0])
        for group in 1..<groups where groups > 1 {
            low = low.smaller(values[group])
            high = high.larger(values[group])
        }
        return (low.min(), high.max())
    }

    /// Σ weight · value².
    var energy: Float {
        var sum = SIMD16<Float>.zero
        for group in 0..<groups { sum += weights[group] * values[group] * values[group] }
        return sum.total
    }
}

/// The scale with which a grid comes nearest to values: value ≈ scale · level.
///
/// Several scales around the one that maps the extreme value onto the end of the grid are tried. For each the levels
/// are the nearest ones and the scale is then fitted to them by least squares; with the best of them this is repeated
/// until it no longer helps. The error of a fit is Σ w x² − (Σ w x q)² / Σ w q², so the second term decides.
enum ScaleSearch<Levels: Grid> {
    static func scale(of block: WeightedValues) -> Float {
        let extreme = block.extreme
        guard abs(extreme) > smallest else { return 0 }
        var best = Fit(scale: 0, gain: 0)
        // An extreme of either sign may go to either end; the ends differ when the grid is lopsided.
        for end in [Levels.lowest, Levels.highest] {
            let width = max(1, abs(end) / 8)
            for step in -candidates...candidates {
                let inverse = (end + width * Float(step) / Float(candidates)) / extreme
                best.keepBetter(fit(block, inverse: inverse))
            }
        }
        while best.scale != 0 {
            let next = fit(block, inverse: 1 / best.scale)
            guard next.gain > best.gain * 1.000_001 else { break }
            best = next
        }
        return best.scale
    }

    /// The least-squares scale for the levels nearest to `inverse · value`.
    private static func fit(_ block: WeightedValues, inverse: Float) -> Fit {
        var (product, square) = (SIMD16<Float>.zero, SIMD16<Float>.zero)
        for group in 0..<block.groups {
            let level = Levels.nearest(block.values[group] * inverse)
            let weighted = block.weights[group] * level
            product += weighted * block.values[group]
            square += weighted * level
        }
        let (xq, qq) = (product.total, square.total)
        guard qq > 0 else { return Fit(scale: 0, gain: 0) }
        return Fit(scale: xq / qq, gain: xq * (xq / qq))
    }

    /// Σ weight · (value − scale · nearest level)².
    static func error(_ block: WeightedValues, scale: Float) -> Float {
        let inverse = scale == 0 ? 0 : 1 / scale
        var sum = SIMD16<Float>.zero
        for group in 0..<block.groups {
            let difference = block.values[group] - scale * Levels.nearest(block.values[group] * inverse)
            sum += block.weights[group] * difference * difference
        }
        return sum.total
    }

    /// The sums Σ w x q and Σ w q² with the levels that `scale` gives; the caller weighs them with integer scales.
    static func sums(_ block: WeightedValues, scale: Float) -> (valueLevel: Float, levelLevel: Float) {
        let inverse = scale == 0 ? 0 : 1 / scale
        var (product, square) = (SIMD16<Float>.zero, SIMD16<Float>.zero)
        for group in 0..<block.groups {
            let level = Levels.nearest(block.values[group] * inverse)
            product += block.weights[group] * level * block.values[group]
            square += block.weights[group] * level * level
        }
        return (product.total, square.total)
    }

    private struct Fit {
        var scale: Float
        var gain: Float

        mutating func keepBetter(_ other: Fit) { if other.gain > gain { self = other } }
    }

    /// Tried on each side of the scale that fills the grid.
    private static var candidates: Int { 8 }
}

/// Below this a block counts as all zero: its scale would be no normal number.
let smallest: Float = 1e-30

/// The scale and the offset with which a grid from 0 comes nearest to values: value ≈ scale · level − offset.
///
/// The scale is never negative; the offset only where the format has a sign for it.
enum AffineSearch<Levels: Grid> {
    struct Fit {
        var scale: Float
        var offset: Float
        var error: Float
    }

    static func fit(_ block: WeightedValues, signedOffset: Bool = false) -> Fit {
        let (least, high) = block.range
        let low = signedOffset ? least : min(least, 0)
        var sums = Sums(signedOffset: signedOffset)
        for group in 0..<block.groups { sums.addValues(block.values[group], block.weights[group]) }
        // All alike: level 0 or level 1 says it all.
        guard high - low > smallest else { return Fit(scale: 0, offset: -low, error: 0) }
        var best = refit(block, scale: (high - low) / Levels.highest, offset: -low, sums)
        for step in -candidates...candidates {
            let inverse = (Levels.highest + width * Float(step) / Float(candidates)) / (high - low)
            let next = refit(block, scale: 1 / inverse, offset: -low, sums)
            if next.error < best.error { best = next }
        }
        while true {
            let next = refit(block, scale: best.scale, offset: best.offset, sums)
            guard next.error < best.error * 0.999_999 else { return best }
            best = next
        }
    }

    /// Least squares over the levels that `scale` and `offset` give.
    private static func refit(_ block: WeightedValues, scale: Float, offset: Float, _ known: Sums) -> Fit {
        guard scale > 0 else { return Fit(scale: 0, offset: offset, error: .infinity) }
        var sums = known
        let inverse = 1 / scale
        for group in 0..<block.groups {
            let level = Levels.nearest((block.values[group] + offset) * inverse)
            sums.addLevels(level, block.values[group], block.weights[group])
        }
        return sums.solve()
    }

    /// Σ weight · (value − (scale · nearest level − offset))².
    static func error(_ block: WeightedValues, scale: Float, offset: Float) -> Float {
        let inverse = scale == 0 ? 0 : 1 / scale
        var sum = SIMD16<Float>.zero
        for group in 0..<block.groups {
            let level = Levels.nearest((block.values[group] + offset) * inverse)
            let difference = block.values[group] - (scale * level - offset)
            sum += block.weights[group] * difference * difference
        }
        return sum.total
    }

    /// Tried on each side of the scale that fills the grid.
    private static var candidates: Int { 10 }
    /// How far the end of the grid moves at most.
    private static var width: Float { max(1, Levels.highest / 10) }
}

/// What least squares needs of values x, levels q and weights w.
struct Sums {
    let signedOffset: Bool
    private(set) var w = SIMD16<Float>.zero
    private(set) var wx = SIMD16<Float>.zero
    private(set) var wxx = SIMD16<Float>.zero
    private(set) var wq = SIMD16<Float>.zero
    private(set) var wqq = SIMD16<Float>.zero
    private(set) var wxq = SIMD16<Float>.zero

    init(signedOffset: Bool) { self.signedOffset = signedOffset }

    mutating func addValues(_ x: SIMD16<Float>, _ weight: SIMD16<Float>) {
        w += weight
        wx += weight * x
        wxx += weight * x * x
    }

    mutating func addLevels(_ q: SIMD16<Float>, _ x: SIMD16<Float>, _ weight: SIMD16<Float>) {
        wq += weight * q
        wqq += weight * q * q
        wxq += weight * x * q
    }

    /// A value ≈ scale · level − offset · unit: for one scale and one offset over sub-blocks with units of their own.
    mutating func add(_ x: SIMD16<Float>, level q: SIMD16<Float>, offset unit: Float, weight: SIMD16<Float>) {
        w += weight * (unit * unit)
        wx += weight * x * unit
        wxx += weight * x * x
        wq += weight * q * unit
        wqq += weight * q * q
        wxq += weight * x * q
    }

    /// The scale and the offset with the least Σ w (x − (scale · q − offset))² that the format can express.
    func solve<Levels>() -> AffineSearch<Levels>.Fit {
        let (w, wx, wxx) = (w.total, wx.total, wxx.total)
        let (wq, wqq, wxq) = (wq.total, wqq.total, wxq.total)
        func fit(_ scale: Float, _ offset: Float) -> AffineSearch<Levels>.Fit {
            let error =
                wxx - 2 * scale * wxq + 2 * offset * wx + scale * scale * wqq - 2 * scale * offset * wq
                + offset * offset * w
            return .init(scale: scale, offset: offset, error: max(0, error))
        }
        // Levels that are all alike leave nothing of the determinant but rounding errors.
        let determinant = w * wqq - wq * wq
        if determinant > 1e-6 * w * wqq {
            let scale = (w * wxq - wx * wq) / determinant
            let offset = (wq * wxq - wqq * wx) / determinant
            if scale >= 0, offset >= 0 || signedOffset { return fit(scale, offset) }
        }
        let scaleAlone = fit(wqq > 0 ? max(0, wxq / wqq) : 0, 0)
        guard w > 0 else { return scaleAlone }
        let offsetAlone = fit(0, signedOffset ? -wx / w : max(0, -wx / w))
        return offsetAlone.error < scaleAlone.error ? offsetAlone : scaleAlone
    }
}
