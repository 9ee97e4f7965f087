import GGUF

/// Makes blocks of one weight format from floats.
///
/// The layouts are described beside the readable decoders in the engine's `Quant` room; tests hold the two together.
struct BlockEncoder: Sendable {
    let type: GGUFTensorType
    /// Fills one block's bytes from as many values as the block has (a multiple of 16).
    let encode: @Sendable (WeightedValues, BlockBuffer) -> Void
    /// Does one row's part of an error-compensating step.
    let compensate: @Sendable (CompensationStep, Int, UnsafeMutableRawPointer) -> Void

    /// What `infer quantize` can write besides F32, F16 and BF16, which need no search.
    static let all: [BlockEncoder] =
        [
            BlockEncoder(.q4_0, Q4_0Fit.self), BlockEncoder(.q4_1, Q4_1Fit.self), BlockEncoder(.q5_0, Q5_0Fit.self),
            BlockEncoder(.q5_1, Q5_1Fit.self), BlockEncoder(.q8_0, Q8_0Fit.self), BlockEncoder(.q2_K, Q2_KFit.self),
            BlockEncoder(.q3_K, Q3_KFit.self), BlockEncoder(.q4_K, Q4_KFit.self), BlockEncoder(.q5_K, Q5_KFit.self),
            BlockEncoder(.q6_K, Q6_KFit.self), BlockEncoder(.iq4_NL, IQ4_NLFit.self),
            BlockEncoder(.iq4_XS, IQ4_XSFit.self), BlockEncoder(.mxfp4, MXFP4Fit.self),
            BlockEncoder(.nvfp4, NVFP4Fit.self), BlockEncoder(.q1_0, Q1_0Fit.self), BlockEncoder(.q2_0, Q2_0Fit.self),
            BlockEncoder(.tq1_0, TQ1_0Fit.self), BlockEncoder(.tq2_0, TQ2_0Fit.self),
        ] + CodebookFormat.all.map(BlockEncoder.init)

    static func find(_ type: GGUFTensorType) -> BlockEncoder? { all.first { $0.type == type } }

    private init(_ format: CodebookFormat) {
        type = format.type
        encode = { block, out in format.store(CodebookBlock(block, format), out) }
        compensate = { step, row, scratch in format.compensate(step, row, scratch) }
    }

    private init<Fit: BlockFit>(_ type: GGUFTensorType, _: Fit.Type) {
        self.type = type
        encode = { block, out in Fit(block).store(block, into: out) }
        compensate = { step, row, scratch in step.run(Fit.self, row, scratch) }
    }
}

// MARK: Blocks of 32

struct Q4_0Fit: ScaledFit {
    typealias Levels = Signed4Bits
    let d: Float

    init(_ block: WeightedValues) { d = ScaleSearch<Levels>.scale(of: block).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        out.storeHalf(d, at: 0)
        out.storeHalves(codes(block), at: 2)
    }
}

struct Q5_0Fit: ScaledFit {
    typealias Levels = Signed5Bits
    let d: Float

    init(_ block: WeightedValues) { d = ScaleSearch<Levels>.scale(of: block).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        out.storeHalf(d, at: 0)
        out.storeFifthBits(codes, at: 2)
        out.storeHalves(codes, at: 6)
    }
}

/// With 255 levels a search for the scale gains nothing worth having.
struct Q8_0Fit: ScaledFit {
    typealias Levels = Signed8Bits
    let d: Float

    init(_ block: WeightedValues) { d = (abs(block.extreme) / 127).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        out.storeHalf(d, at: 0)
        // Codes count from the lowest level, the format from zero.
        for (index, code) in codes(block).enumerated() { out[2 + index] = code &- 127 }
    }
}

struct IQ4_NLFit: ScaledFit {
    typealias Levels = NonLinear4Bits
    let d: Float

    init(_ block: WeightedValues) { d = ScaleSearch<Levels>.scale(of: block).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        out.storeHalf(d, at: 0)
        out.storeHalves(codes(block), at: 2)
    }
}

/// The power of two that maps the extreme into the grid's upper octave, or one of its neighbours.
struct MXFP4Fit: ScaledFit {
    typealias Levels = DoubledE2M1
    let exponent: UInt8

    // The grid is doubled, so the scale is half of 2^(exponent − 127).
    var d: Float { Self.scale(Int(exponent)) }
    private static func scale(_ exponent: Int) -> Float {
        Float(sign: .plus, exponent: exponent - 128, significand: 1)
    }

    init(_ block: WeightedValues) {
        let extreme = abs(block.extreme)
        guard extreme > smallest else {
            exponent = 0
            return
        }
        let natural = Int(extreme.exponent) - 2 + 127
        var (best, least) = (0, Float.infinity)
        for candidate in natural - 1...natural + 1 where 0...254 ~= candidate {
            let error = ScaleSearch<Levels>.error(block, scale: Self.scale(candidate))
            if error < least { (best, least) = (candidate, error) }
        }
        exponent = UInt8(best)
    }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        guard exponent > 0 else {
            for byte in 0..<17 { out[byte] = 0 }
            return
        }
        out[0] = exponent
        out.storeHalves(codes(block), at: 1)
    }
}

struct Q4_1Fit: OffsetFit {
    typealias Levels = Unsigned4Bits
    let d: Float
    let offset: Float

    init(_ block: WeightedValues) { (d, offset) = Self.search(block) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        out.storeHalf(d, at: 0)
        out.storeHalf(-offset, at: 2)
        out.storeHalves(codes(block), at: 4)
    }
}

struct Q5_1Fit: OffsetFit {
    typealias Levels = Unsigned5Bits
    let d: Float
    let offset: Float

    init(_ block: WeightedValues) { (d, offset) = Self.search(block) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        out.storeHalf(d, at: 0)
        out.storeHalf(-offset, at: 2)
        out.storeFifthBits(codes, at: 4)
        out.storeHalves(codes, at: 8)
    }
}

// MARK: Superblocks of 256

struct Q2_KFit: AffineFit {
    typealias Levels = Unsigned2Bits
    let fit: AffineSuperblock<Levels>
    init(_ block: WeightedValues) { fit = AffineSuperblock(block, parts: 1, limit: 15) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        for index in 0..<16 { out[index] = UInt8(fit.scales[index] | fit.minima[index] << 4) }
        out.storeBitPairs(codes, at: 16)
        out.storeHalf(fit.d, at: 80)
        out.storeHalf(fit.dmin, at: 82)
    }
}

struct Q3_KFit: SymmetricFit {
    typealias Levels = Signed3Bits
    let fit: SymmetricSuperblock<Levels>
    init(_ block: WeightedValues) { fit = SymmetricSuperblock(block, parts: 1, range: -32...31) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
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
}

struct Q4_KFit: AffineFit {
    typealias Levels = Unsigned4Bits
    let fit: AffineSuperblock<Levels>
    init(_ block: WeightedValues) { fit = AffineSuperblock(block, parts: 2, limit: 63) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        out.storeScales(of: fit)
        out.storeNibblePairs(codes(block), at: 16)
    }
}

struct Q5_KFit: AffineFit {
    typealias Levels = Unsigned5Bits
    let fit: AffineSuperblock<Levels>
    init(_ block: WeightedValues) { fit = AffineSuperblock(block, parts: 2, limit: 63) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        out.storeScales(of: fit)
        for byte in 0..<32 {
            out[16 + byte] = (0..<8).reduce(0) { $0 | (codes[32 * $1 + byte] >> 4) << UInt8($1) }
        }
        out.storeNibblePairs(codes.map { $0 & 15 }, at: 48)
    }
}

struct Q6_KFit: SymmetricFit {
    typealias Levels = Signed6Bits
    let fit: SymmetricSuperblock<Levels>
    init(_ block: WeightedValues) { fit = SymmetricSuperblock(block, parts: 1, range: -128...127) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
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
}

struct IQ4_XSFit: SymmetricFit {
    typealias Levels = NonLinear4Bits
    let fit: SymmetricSuperblock<Levels>
    init(_ block: WeightedValues) { fit = SymmetricSuperblock(block, parts: 2, range: -32...31) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        let scales = fit.scales.map { UInt8($0 + 32) }
        out.storeHalf(fit.d, at: 0)
        for byte in 0..<2 {
            out[2 + byte] = (0..<4).reduce(0) { $0 | (scales[4 * byte + $1] >> 4) << UInt8(2 * $1) }
        }
        for byte in 0..<4 { out[4 + byte] = scales[2 * byte] & 15 | (scales[2 * byte + 1] & 15) << 4 }
        for part in 0..<8 { out.storeHalves(Array(codes[32 * part..<32 * (part + 1)]), at: 8 + 16 * part) }
    }
}

// MARK: Places of codes

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
    func storeBitPairs(_ codes: [UInt8], at offset: Int) {
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
