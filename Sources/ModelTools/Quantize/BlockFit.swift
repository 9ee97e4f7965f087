/// What one block's values are rounded to: a grid and the scales that a search found, such that
/// value ≈ scale · level − offset.
protocol BlockFit: SendableMetatype {
    associatedtype Levels: Grid
    /// Searches.
    init(_ block: WeightedValues)
    /// Of the values 16 g ..< 16 (g + 1) of a block of `groups` such groups.
    func scale(ofGroup group: Int, of groups: Int) -> (scale: Float, offset: Float)
    /// Writes the block's bytes; each value becomes the level nearest to it.
    func store(_ block: WeightedValues, into out: BlockBuffer)
}

extension BlockFit {
    /// The bits of the level nearest to each value.
    func codes(_ block: WeightedValues) -> [UInt8] {
        var codes: [UInt8] = []
        codes.reserveCapacity(16 * block.groups)
        for group in 0..<block.groups {
            let (scale, offset) = scale(ofGroup: group, of: block.groups)
            let inverse = scale == 0 ? 0 : 1 / scale
            let levels = Levels.nearest((block.values[group] + offset) * inverse)
            for lane in 0..<16 { codes.append(Levels.code(levels[lane])) }
        }
        return codes
    }
}

/// One scale for the whole block.
protocol ScaledFit: BlockFit {
    var d: Float { get }
}

extension ScaledFit {
    func scale(ofGroup _: Int, of _: Int) -> (scale: Float, offset: Float) { (d, 0) }
}

/// One scale and one offset of either sign for the whole block.
protocol OffsetFit: BlockFit {
    var d: Float { get }
    var offset: Float { get }
}

extension OffsetFit {
    static func search(_ block: WeightedValues) -> (d: Float, offset: Float) {
        let fit = AffineSearch<Levels>.fit(block, signedOffset: true)
        return (fit.scale.roundedToHalf, fit.offset.roundedToHalf)
    }

    func scale(ofGroup _: Int, of _: Int) -> (scale: Float, offset: Float) { (d, offset) }
}

/// Integer scales of sub-blocks.
protocol SymmetricFit: BlockFit {
    var fit: SymmetricSuperblock<Levels> { get }
}

extension SymmetricFit {
    func scale(ofGroup group: Int, of groups: Int) -> (scale: Float, offset: Float) {
        (fit.d * Float(fit.scales[group * fit.scales.count / groups]), 0)
    }
}

/// Integer scales and minima of sub-blocks.
protocol AffineFit: BlockFit {
    var fit: AffineSuperblock<Levels> { get }
}

extension AffineFit {
    func scale(ofGroup group: Int, of groups: Int) -> (scale: Float, offset: Float) {
        let index = group * fit.scales.count / groups
        return (fit.d * Float(fit.scales[index]), fit.dmin * Float(fit.minima[index]))
    }
}
