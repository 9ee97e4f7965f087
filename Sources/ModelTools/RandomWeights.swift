import GGUF

/// Fills tensor data with random values of a wanted spread, directly in any weight format.
///
/// Quantizing floats would take minutes per file, so the block bytes themselves are drawn and only the scales are set:
/// quants uniform, scales such that the values have mean zero (nearly, where the format's grid is lopsided) and the
/// wanted standard deviation. The cost of computing with such a file is that of a real one.
struct RandomWeights {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    mutating func unit() -> Float { Float(Int32(truncatingIfNeeded: next())) * 0x1p-31 }

    /// Uniform with the given standard deviation.
    mutating func spread(_ deviation: Float) -> Float { unit() * deviation * Self.sqrt3 }

    private static let sqrt3: Float = 1.732_050_8

    /// Fills whole blocks of `type`.
    mutating func fill(_ blocks: UnsafeMutableRawBufferPointer, type: GGUFTensorType, deviation: Float) {
        switch type {
        case .f32:
            for index in 0..<(blocks.count / 4) {
                blocks.storeBytes(of: spread(deviation).bitPattern, toByteOffset: 4 * index, as: UInt32.self)
            }
        case .f16:
            for index in 0..<(blocks.count / 2) { storeHalf(spread(deviation), in: blocks, at: 2 * index) }
        case .bf16:
            for index in 0..<(blocks.count / 2) {
                let bits = UInt16(spread(deviation).bitPattern >> 16)
                blocks.storeBytes(of: bits, toByteOffset: 2 * index, as: UInt16.self)
            }
        default:
            for index in 0..<(blocks.count / 8) {
                blocks.storeBytes(of: next(), toByteOffset: 8 * index, as: UInt64.self)
            }
            for index in (blocks.count & ~7)..<blocks.count { blocks[index] = UInt8(truncatingIfNeeded: next()) }
            for start in stride(from: 0, to: blocks.count, by: type.blockBytes) {
                setScales(
                    UnsafeMutableRawBufferPointer(rebasing: blocks[start..<(start + type.blockBytes)]), type, deviation)
            }
        }
    }

    /// Sets the scales of one block whose quants are random already. Layouts: ggml `ggml-common.h`. The divisors are
    /// the standard deviations of the drawn grid: a uniform integer of n values has sqrt((n² − 1) / 12).
    private func setScales(_ block: UnsafeMutableRawBufferPointer, _ type: GGUFTensorType, _ deviation: Float) {
        switch type {
        case .q8_0: storeHalf(deviation / 73.9, in: block, at: 0)
        case .q4_0: storeHalf(deviation / 4.61, in: block, at: 0)
        case .q5_0: storeHalf(deviation / 9.23, in: block, at: 0)
        case .q4_1: storeScale(deviation / 4.61, minimum: -7.5, in: block, at: 0)
        case .q5_1: storeScale(deviation / 9.23, minimum: -15.5, in: block, at: 0)
        case .iq4_NL: storeHalf(deviation / 71, in: block, at: 0)
        case .iq4_XS: storeHalf(deviation / (71 * 18.5), in: block, at: 0)
        case .mxfp4: block[0] = UInt8(clamping: Int((deviation / 2.93).exponent) + 127)
        case .q2_K:
            // 16 bytes of 4-bit scale and minimum: equal, so that one `dmin` centres every sub-block.
            for index in 0..<16 {
                let scale = block[index] & 7 | 8
                block[index] = scale | scale << 4
            }
            storeScale(deviation / (11.7 * 1.118), minimum: 1.5, in: block, at: 80)
        case .q3_K: storeHalf(deviation / (18.5 * 2.29), in: block, at: 108)
        case .q4_K:
            equalScalesAndMinima(block)
            storeScale(deviation / (36.5 * 4.61), minimum: 7.5, in: block, at: 0)
        case .q5_K:
            equalScalesAndMinima(block)
            storeScale(deviation / (36.5 * 9.23), minimum: 15.5, in: block, at: 0)
        case .q6_K: storeHalf(deviation / (73.9 * 18.5), in: block, at: 208)
        // Odd scales up to 31 and 15 have root mean squares of 18.5 and 9.2; those of levels are of the codebooks.
        case .iq2_XXS, .iq2_XS, .iq2_S: storeHalf(deviation * 8 / (18.5 * 21), in: block, at: 0)
        case .iq3_XXS: storeHalf(deviation * 4 / (18.5 * 27), in: block, at: 0)
        case .iq3_S: storeHalf(deviation / (18.5 * 6.9), in: block, at: 0)
        case .iq1_S: storeHalf(deviation / (9.2 * 0.75), in: block, at: 0)
        case .iq1_M:
            let bits = (deviation / (9.2 * 0.75)).halfBits
            for word in 0..<4 {
                block[49 + 2 * word] = block[49 + 2 * word] & 15 | UInt8(bits >> UInt16(4 * word) & 15) << 4
            }
        case .q1_0: storeHalf(deviation, in: block, at: 0)
        case .q2_0: storeHalf(deviation / 1.22, in: block, at: 0)
        case .tq2_0: storeHalf(deviation / 1.22, in: block, at: 64)
        case .tq1_0: storeHalf(deviation / 0.82, in: block, at: 52)
        case .nvfp4: for index in 0..<4 { block[index] = NVFP4Fit.nearestScale(deviation / 2.93) }
        default: preconditionFailure("no random weights of type \(type)")
        }
    }

    /// The twelve bytes after `d` and `dmin` of Q4_K and Q5_K hold eight 6-bit scales and eight 6-bit minima, the upper
    /// two bits of the last four in the tops of the first eight bytes.
    private func equalScalesAndMinima(_ block: UnsafeMutableRawBufferPointer) {
        for index in 0..<4 {
            block[4 + index + 4] = block[4 + index]
            let low = block[4 + index + 8] & 15
            block[4 + index + 8] = low | low << 4
        }
    }

    private func storeScale(_ scale: Float, minimum: Float, in block: UnsafeMutableRawBufferPointer, at offset: Int) {
        storeHalf(scale, in: block, at: offset)
        storeHalf(scale * minimum, in: block, at: offset + 2)
    }

    private func storeHalf(_ value: Float, in block: UnsafeMutableRawBufferPointer, at offset: Int) {
        block.storeBytes(of: Float16(value).bitPattern, toByteOffset: offset, as: UInt16.self)
    }
}
