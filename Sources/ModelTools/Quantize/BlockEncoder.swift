import GGUF

/// Makes blocks of one weight format from floats.
///
/// The layouts are described beside the readable decoders in the engine's `Quant` room; tests hold the two together.
struct BlockEncoder: Sendable {
    let type: GGUFTensorType
    /// Fills one block's bytes from as many values as the block has (a multiple of 16).
    let encode: @Sendable (WeightedValues, BlockBuffer) -> Void

    /// What `infer quantize` can write besides F32, F16 and BF16, which need no search.
    static let all: [BlockEncoder] = [
        BlockEncoder(type: .q4_0, encode: q4_0), BlockEncoder(type: .q4_1, encode: q4_1),
        BlockEncoder(type: .q5_0, encode: q5_0), BlockEncoder(type: .q5_1, encode: q5_1),
        BlockEncoder(type: .q8_0, encode: q8_0), BlockEncoder(type: .q2_K, encode: q2_K),
        BlockEncoder(type: .q3_K, encode: q3_K), BlockEncoder(type: .q4_K, encode: q4_K),
        BlockEncoder(type: .q5_K, encode: q5_K), BlockEncoder(type: .q6_K, encode: q6_K),
        BlockEncoder(type: .iq4_NL, encode: iq4_NL), BlockEncoder(type: .iq4_XS, encode: iq4_XS),
        BlockEncoder(type: .mxfp4, encode: mxfp4),
    ]

    static func find(_ type: GGUFTensorType) -> BlockEncoder? { all.first { $0.type == type } }
}

// MARK: Blocks of 32

private func q4_0(_ block: WeightedValues, _ out: BlockBuffer) {
    let d = ScaleSearch<Signed4Bits>.scale(of: block).roundedToHalf
    out.storeHalf(d, at: 0)
    out.storeHalves(block.codes(Signed4Bits.self, scale: d), at: 2)
}

private func q4_1(_ block: WeightedValues, _ out: BlockBuffer) {
    let (d, m, codes) = affine(Unsigned4Bits.self, block)
    out.storeHalf(d, at: 0)
    out.storeHalf(m, at: 2)
    out.storeHalves(codes, at: 4)
}

private func q5_0(_ block: WeightedValues, _ out: BlockBuffer) {
    let d = ScaleSearch<Signed5Bits>.scale(of: block).roundedToHalf
    let codes = block.codes(Signed5Bits.self, scale: d)
    out.storeHalf(d, at: 0)
    out.storeFifthBits(codes, at: 2)
    out.storeHalves(codes, at: 6)
}

private func q5_1(_ block: WeightedValues, _ out: BlockBuffer) {
    let (d, m, codes) = affine(Unsigned5Bits.self, block)
    out.storeHalf(d, at: 0)
    out.storeHalf(m, at: 2)
    out.storeFifthBits(codes, at: 4)
    out.storeHalves(codes, at: 8)
}

/// Plain rounding: with 255 levels a search gains nothing worth having.
private func q8_0(_ block: WeightedValues, _ out: BlockBuffer) {
    let d = min(abs(block.extreme) / 127, 65504)
    out.storeHalf(d, at: 0)
    let inverse = d > 0 ? 1 / d : 0
    for index in 0..<32 {
        let level = (block[value: index] * inverse).rounded()
        out[2 + index] = UInt8(bitPattern: Int8(level.clamped(-127, 127)))
    }
}

private func iq4_NL(_ block: WeightedValues, _ out: BlockBuffer) {
    let d = ScaleSearch<NonLinear4Bits>.scale(of: block).roundedToHalf
    out.storeHalf(d, at: 0)
    out.storeHalves(block.codes(NonLinear4Bits.self, scale: d), at: 2)
}

/// The power of two that maps the extreme into the grid's upper octave, or one of its neighbours.
private func mxfp4(_ block: WeightedValues, _ out: BlockBuffer) {
    let extreme = abs(block.extreme)
    guard extreme > smallest else {
        for byte in 0..<17 { out[byte] = 0 }
        return
    }
    let natural = Int(extreme.exponent) - 2 + 127
    var (best, least) = (0, Float.infinity)
    for code in natural - 1...natural + 1 where 0...254 ~= code {
        let error = ScaleSearch<DoubledE2M1>.error(block, scale: scale(code))
        if error < least { (best, least) = (code, error) }
    }
    // The grid is doubled, so the scale is half of 2^(code − 127).
    func scale(_ code: Int) -> Float { Float(sign: .plus, exponent: code - 128, significand: 1) }
    out[0] = UInt8(best)
    out.storeHalves(block.codes(DoubledE2M1.self, scale: scale(best)), at: 1)
}

private func affine<Levels: Grid>(
    _ grid: Levels.Type, _ block: WeightedValues
) -> (d: Float, m: Float, codes: [UInt8]) {
    let fit = AffineSearch<Levels>.fit(block, signedOffset: true)
    let (d, offset) = (fit.scale.roundedToHalf, fit.offset.roundedToHalf)
    return (d, -offset, block.codes(grid, scale: d, offset: offset))
}

// MARK: Superblocks of 256

private func q2_K(_ block: WeightedValues, _ out: BlockBuffer) {
    let fit = AffineSuperblock<Unsigned2Bits>(block, parts: 1, limit: 15)
    let codes = fit.codes(block)
    for index in 0..<16 { out[index] = UInt8(fit.scales[index] | fit.minima[index] << 4) }
    out.storeBitPairs(codes, at: 16)
    out.storeHalf(fit.d, at: 80)
    out.storeHalf(fit.dmin, at: 82)
}

private func q3_K(_ block: WeightedValues, _ out: BlockBuffer) {
    let fit = SymmetricSuperblock<Signed3Bits>(block, parts: 1, range: -32...31)
    let codes = fit.codes(block)
    for byte in 0..<32 {
        out[byte] = (0..<8).reduce(0) { $0 | (codes[32 * $1 + byte] >> 2 & 1) << UInt8($1) }
    }
    out.storeBitPairs(codes.map { $0 & 3 }, at: 32)
    let scales = fit.scales.map { UInt8($0 + 32) }
    for byte in 0..<8 { out[96 + byte] = scales[byte] & 15 | (scales[8 + byte] & 15) << 4 }
    for byte in 0..<4 {
        out[104 + byte] = (0..<4).reduce(0) { $0 | (scales[4 * $1 + byte] >> 4) << UInt8(2 * $1) }
    }
    out.storeHalf(fit.d, at: 108)
}

private func q4_K(_ block: WeightedValues, _ out: BlockBuffer) {
    let fit = AffineSuperblock<Unsigned4Bits>(block, parts: 2, limit: 63)
    let codes = fit.codes(block)
    out.storeScales(of: fit)
    out.storeNibblePairs(codes, at: 16)
}

private func q5_K(_ block: WeightedValues, _ out: BlockBuffer) {
    let fit = AffineSuperblock<Unsigned5Bits>(block, parts: 2, limit: 63)
    let codes = fit.codes(block)
    out.storeScales(of: fit)
    for byte in 0..<32 {
        out[16 + byte] = (0..<8).reduce(0) { $0 | (codes[32 * $1 + byte] >> 4) << UInt8($1) }
    }
    out.storeNibblePairs(codes.map { $0 & 15 }, at: 48)
}

private func q6_K(_ block: WeightedValues, _ out: BlockBuffer) {
    let fit = SymmetricSuperblock<Signed6Bits>(block, parts: 1, range: -128...127)
    let codes = fit.codes(block)
    for half in 0..<2 {
        for byte in 0..<64 {
            let (low, high) = (codes[128 * half + byte], codes[128 * half + 64 + byte])
            out[64 * half + byte] = low & 15 | (high & 15) << 4
        }
    }
    out.storeBitPairs(codes.map { $0 >> 4 }, at: 128)
    for index in 0..<16 { out[192 + index] = UInt8(bitPattern: Int8(fit.scales[index])) }
    out.storeHalf(fit.d, at: 208)
}

private func iq4_XS(_ block: WeightedValues, _ out: BlockBuffer) {
    let fit = SymmetricSuperblock<NonLinear4Bits>(block, parts: 2, range: -32...31)
    let codes = fit.codes(block)
    let scales = fit.scales.map { UInt8($0 + 32) }
    out.storeHalf(fit.d, at: 0)
    for byte in 0..<2 {
        out[2 + byte] = (0..<4).reduce(0) { $0 | (scales[4 * byte + $1] >> 4) << UInt8(2 * $1) }
    }
    for byte in 0..<4 { out[4 + byte] = scales[2 * byte] & 15 | (scales[2 * byte + 1] & 15) << 4 }
    for part in 0..<8 { out.storeHalves(Array(codes[32 * part..<32 * (part + 1)]), at: 8 + 16 * part) }
}

// MARK: Codes and their places

extension WeightedValues {
    fileprivate subscript(value index: Int) -> Float { values[index / 16][index % 16] }

    /// The bits of the level nearest to each value.
    fileprivate func codes<Levels: Grid>(_ grid: Levels.Type, scale: Float, offset: Float = 0) -> [UInt8] {
        let inverse = scale == 0 ? 0 : 1 / scale
        var codes: [UInt8] = []
        codes.reserveCapacity(16 * groups)
        for group in 0..<groups {
            let levels = Levels.nearest((values[group] + offset) * inverse)
            for lane in 0..<16 { codes.append(Levels.code(levels[lane])) }
        }
        return codes
    }
}

extension SymmetricSuperblock {
    fileprivate func codes(_ block: WeightedValues) -> [UInt8] {
        let parts = block.groups / scales.count
        return scales.indices.flatMap { index in
            block[index * parts..<(index + 1) * parts].codes(Levels.self, scale: d * Float(scales[index]))
        }
    }
}

extension AffineSuperblock {
    fileprivate func codes(_ block: WeightedValues) -> [UInt8] {
        let parts = block.groups / scales.count
        return scales.indices.flatMap { index in
            block[index * parts..<(index + 1) * parts].codes(
                Levels.self, scale: d * Float(scales[index]), offset: dmin * Float(minima[index]))
        }
    }
}

extension BlockBuffer {
    /// 32 codes of four bits in 16 bytes: the first half of them in the low bits, the second in the high ones.
    fileprivate func storeHalves(_ codes: [UInt8], at offset: Int) {
        for index in 0..<16 { self[offset + index] = codes[index] & 15 | codes[16 + index] << 4 }
    }

    /// Bit 4 of 32 codes.
    fileprivate func storeFifthBits(_ codes: [UInt8], at offset: Int) {
        for byte in 0..<4 {
            self[offset + byte] = (0..<8).reduce(0) { $0 | (codes[8 * byte + $1] >> 4 & 1) << UInt8($1) }
        }
    }

    /// 256 codes of two bits: byte 32 h + l holds those of values 128 h + l, + 32, + 64, + 96.
    fileprivate func storeBitPairs(_ codes: [UInt8], at offset: Int) {
        for byte in 0..<64 {
            let first = 128 * (byte / 32) + byte % 32
            self[offset + byte] = (0..<4).reduce(0) { $0 | codes[first + 32 * $1] << UInt8(2 * $1) }
        }
    }

    /// 256 codes of four bits, 64 in 32 bytes: the first 32 in the low halves, the next 32 in the high ones.
    fileprivate func storeNibblePairs(_ codes: [UInt8], at offset: Int) {
        for byte in 0..<128 {
            let first = 64 * (byte / 32) + byte % 32
            self[offset + byte] = codes[first] | codes[first + 32] << 4
        }
    }

    /// The head that Q4_K and Q5_K share: d, dmin, and eight scales and minima of six bits each.
    fileprivate func storeScales<Levels>(of fit: AffineSuperblock<Levels>) {
        storeHalf(fit.d, at: 0)
        storeHalf(fit.dmin, at: 2)
        let (scales, minima) = (fit.scales.map { UInt8($0) }, fit.minima.map { UInt8($0) })
        for index in 0..<4 {
            self[4 + index] = scales[index] | (scales[4 + index] >> 4) << 6
            self[8 + index] = minima[index] | (minima[4 + index] >> 4) << 6
            self[12 + index] = scales[4 + index] & 15 | (minima[4 + index] & 15) << 4
        }
    }
}

extension Float {
    fileprivate func clamped(_ low: Float, _ high: Float) -> Float { Swift.min(Swift.max(self, low), high) }
}
