import CKernels
import Engine
import GGUF
import TestSupport
import Testing

/// Products of every format on every instruction set of this machine.
@Suite struct QuantMatmulTests {
    static let accelerated = InstructionSet.available.filter { $0 != .scalar }
    static let rowCounts = [1, 3, 4, 5, 16, 17, 33]
    static let tokenCounts = [1, 2, 3, 4, 5, 7, 8, 12, 13, 33]

    /// Portable C against double precision on the dequantized operands.
    @Test(arguments: QuantFormat.all) func portableIsAccurate(format: QuantFormat) {
        for columns in format.testColumns {
            let operands = QuantCase(format, rows: 5, columns: columns, tokens: 3, fill: .ordinary)
            let product = operands.product(.scalar)
            let rowBytes = format.rowBytes(columns: columns)
            for row in 0..<5 {
                let weights = format.dequantize(
                    row: Array(operands.weightBytes[row * rowBytes..<(row + 1) * rowBytes]))
                for token in 0..<3 {
                    let x = Array(operands.activations[token * columns..<(token + 1) * columns])
                    let terms = zip(weights, quantized(x, format.activation)).map { Double($0) * $1 }
                    let exact = terms.reduce(0, +)
                    // A rounding per float step: at most two steps and their two factors per block or lane element.
                    let steps = Double(format.block == 1 ? columns / 16 + 5 : 4 * columns / format.block + 4)
                    let bound = terms.reduce(0) { $0 + abs($1) } * steps * 0x1p-23
                    #expect(abs(Double(product[token * 5 + row]) - exact) <= bound)
                }
            }
        }
    }

    /// What the definition says prepared activations stand for.
    private func quantized(_ x: [Float], _ kind: ck_act) -> [Double] {
        guard kind != CK_ACT_F32 else { return x.map(Double.init) }
        if kind == CK_ACT_BF16 {
            return x.map { value in
                let rounded = Self.bfloat16(value)
                // Half a unit in the last of eight bits.
                #expect(abs(rounded - value) <= abs(value) * 0x1p-8)
                return Double(rounded)
            }
        }
        let size = kind == CK_ACT_Q8_32 ? 32 : 256
        return stride(from: 0, to: x.count, by: size).flatMap { start in
            let group = x[start..<start + size]
            let d = group.map(abs).max().map { $0 / 127 } ?? 0
            return group.map { value in
                let q = (value * (1 / d)).rounded(.toNearestOrEven)
                #expect(abs(Double(d) * Double(q) - Double(value)) <= Double(d) * 0.5001)
                return Double(d) * Double(q)
            }
        }
    }

    /// The nearest float whose lower half of bits is zero, of two equally near ones the one with an even last bit.
    private static func bfloat16(_ value: Float) -> Float {
        let below = Float(bitPattern: value.bitPattern & 0xffff_0000)
        let above = Float(bitPattern: below.bitPattern &+ 0x1_0000)
        let middle = Float(bitPattern: below.bitPattern | 0x8000)
        if value == middle { return below.bitPattern & 0x1_0000 == 0 ? below : above }
        return abs(value) < abs(middle) ? below : above
    }

    /// BF16 rounds activations to the nearest, keeps what is not a number and pads with zeros.
    @Test(arguments: InstructionSet.available) func activationsRoundToBF16(isa: InstructionSet) {
        let cases: [(UInt32, UInt16)] = [
            (0x3f80_0000, 0x3f80), (0x3f80_8000, 0x3f80), (0x3f80_8001, 0x3f81), (0x3f81_8000, 0x3f82),
            (0xbf80_7fff, 0xbf80), (0x7f7f_ffff, 0x7f80), (0x7f80_0000, 0x7f80), (0xff80_0000, 0xff80),
            (0x7f80_0001, 0x7fc0), (0xffc1_2345, 0xffc1), (0x7fff_ffff, 0x7fff), (0x8000_0000, 0x8000),
            (0x007f_ffff, 0x0080),
        ]
        for count in [1, 7, cases.count] {
            let size = ck_act_row_bytes(CK_ACT_BF16, count)
            let row = AlignedBytes(count: size)
            ck_quantize_with(
                isa.kernel, CK_ACT_BF16, cases.prefix(count).map { Float(bitPattern: $0.0) }, count, row.start)
            let found = UnsafeBufferPointer(start: row.start.assumingMemoryBound(to: UInt16.self), count: size / 2)
            #expect(found.prefix(count).elementsEqual(cases.prefix(count).map(\.1)))
            #expect(found.dropFirst(count).allSatisfy { $0 == 0 })
        }
    }

    /// BF16's sums step by step: odd columns first, subnormal operands and results as zeros, also where a result
    /// would round up to the smallest normal number.
    @Test(arguments: InstructionSet.available) func pairsOfBF16AreAddedInOrder(isa: InstructionSet) throws {
        let format = try #require(QuantFormat.find(.bf16))
        let least = Float.leastNormalMagnitude
        // The same lane: columns 0 and 1, then 32 and 33.
        func lane(_ a: Float, _ b: Float, _ c: Float, _ d: Float) -> [Float] {
            [a, b] + [Float](repeating: 0, count: 30) + [c, d]
        }
        let ones = [Float](repeating: 1, count: 34)
        let cases: [(weights: [Float], activations: [Float], expected: Float)] = [
            // 1 + 2^-24 rounds to 1, so the order decides.
            (lane(1, 0, 0x1p-24, -1), ones, 0x1p-24), (lane(1, 0, -1, 0x1p-24), ones, 0),
            ([least / 2], [0x1p20], 0), ([0x1p20], [least / 2], 0), ([least, -least], [1, 1.5], 0),
            ([-0x1p-70, 0x1p-60], [0x1p-80, 0x1p-66], 0), ([-0x1p-70, 0x1p-60], [0x1p-81, 0x1p-66], least),
            ([.infinity, -.infinity], [1, 1], .nan), ([.infinity], [1], .infinity),
        ]
        for (weights, activations, expected) in cases {
            let row = GuardedBytes(weights.flatMap { [UInt8($0.bitPattern >> 16 & 0xff), UInt8($0.bitPattern >> 24)] })
            let prepared = AlignedBytes(count: ck_act_row_bytes(CK_ACT_BF16, weights.count))
            let scratch = AlignedBytes(count: ck_matmul_scratch_bytes(format.kernel, weights.count))
            var y: Float = 7
            ck_quantize_with(isa.kernel, CK_ACT_BF16, activations, weights.count, prepared.start)
            ck_matmul_with(
                isa.kernel, format.kernel, row.start, 1, weights.count, prepared.start, 0, nil, 1, &y, 1, scratch.start)
            #expect(y == expected || y.isNaN && expected.isNaN, "\(weights) · \(activations) gave \(y)")
        }
    }

    /// All row counts and token counts give the bits of portable C, for any block bytes, without reading past the end.
    /// The extreme fills would show a 16-bit sum that overflows.
    @Test(arguments: QuantFormat.all, accelerated)
    func bitsEqualPortable(format: QuantFormat, isa: InstructionSet) {
        for fill in BlockFill.allCases {
            for columns in format.testColumns {
                let operands = QuantCase(format, rows: 33, columns: columns, tokens: 33, fill: fill)
                let expected = operands.product(.scalar)
                for rows in Self.rowCounts {
                    for tokens in Self.tokenCounts {
                        // The last rows, so that the end of the weights is the end of readable memory.
                        let product = operands.product(isa, rows: 33 - rows..<33, tokens: 0..<tokens)
                        let part: [Float] = (0..<tokens).flatMap { token in
                            expected[token * 33..<(token + 1) * 33].suffix(rows)
                        }
                        #expect(sameBits(product, part), "\(columns) columns, \(rows) rows, \(tokens) tokens")
                    }
                }
            }
        }
    }

    /// Long rows and many of them: tiles, chunks of columns and of rows.
    @Test(arguments: QuantFormat.all, accelerated)
    func bitsEqualPortableOnLargeShapes(format: QuantFormat, isa: InstructionSet) {
        let operands = QuantCase(format, rows: 75, columns: 4608 + 256, tokens: 27, fill: .ordinary)
        #expect(sameBits(operands.product(isa), operands.product(.scalar)))
        #expect(sameBits(operands.product(isa, tokens: 0..<1), operands.product(.scalar, tokens: 0..<1)))
    }

    @Test(arguments: QuantFormat.all, InstructionSet.available)
    func gatheredRowsAreTheListedOnes(format: QuantFormat, isa: InstructionSet) {
        let operands = QuantCase(format, rows: 20, columns: 512, tokens: 9, fill: .ordinary)
        let expected = operands.product(.scalar)
        for gather: [Int32] in [[4], [8, 0], [3, 3, 1, 8, 0, 2, 7], [5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1]] {
            let product = operands.product(isa, gather: gather)
            let listed: [Float] = gather.flatMap { token in expected.dropFirst(20 * Int(token)).prefix(20) }
            #expect(sameBits(product, listed))
        }
    }

    @Test(arguments: InstructionSet.available, [CK_ACT_Q8_32, CK_ACT_Q8_256, CK_ACT_BF16])
    func preparedActivationsAreTheSameBytes(isa: InstructionSet, kind: ck_act) {
        var random = SeededRandom(seed: 3)
        for columns in kind == CK_ACT_Q8_256 ? [256, 1280] : [32, 96, 512, 1056] {
            for wild in [false, true] {
                var x = random.floats(columns, scale: 5)
                if wild {
                    x = x.map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)) }
                    for i in 0..<32 { x[i] = 0 }
                } else {
                    // Values that lie between two integers after scaling.
                    x[0] = 127
                    for i in 1..<16 { x[i] = Float(i) - 8.5 }
                }
                let size = ck_act_row_bytes(kind, columns)
                #expect(size % 128 == 64)
                let expected = AlignedBytes(count: size)
                let found = AlignedBytes(count: size)
                ck_quantize_with(CK_ISA_SCALAR, kind, x, columns, expected.start)
                ck_quantize_with(isa.kernel, kind, x, columns, found.start)
                #expect(
                    UnsafeRawBufferPointer(start: expected.start, count: size)
                        .elementsEqual(UnsafeRawBufferPointer(start: found.start, count: size)))
            }
        }
    }

    /// An infinity or a NaN in a group makes its products NaN; a group of zeros or of tiny values counts as zero.
    @Test(arguments: InstructionSet.available) func extremeActivations(isa: InstructionSet) throws {
        for type in [GGUFTensorType.q8_0, .q6_K] {
            let format = try #require(QuantFormat.find(type))
            var random = SeededRandom(seed: 5)
            let weights = QuantCase.weights(format, 256 / format.block, .ordinary, &random)
            let prepared = AlignedBytes(count: ck_act_row_bytes(format.activation, 256))
            let scratch = AlignedBytes(count: ck_matmul_scratch_bytes(format.kernel, 256))
            let cases: [(Float, (Float) -> Bool)] = [
                (.infinity, \.isNaN), (-.infinity, \.isNaN), (.nan, \.isNaN), (0, { $0 == 0 }),
                (.leastNonzeroMagnitude, { $0 == 0 }),
                (.greatestFiniteMagnitude, { !$0.isNaN }),
            ]
            for (value, holds) in cases {
                var x = [Float](repeating: 0, count: 256)
                x[77] = value
                var y: Float = 7
                ck_quantize_with(isa.kernel, format.activation, x, 256, prepared.start)
                ck_matmul_with(
                    isa.kernel, format.kernel, weights, 1, 256, prepared.start, 0, nil, 1, &y, 1, scratch.start)
                #expect(holds(y), "\(value) gave \(y)")
            }
        }
    }
}

@Suite struct InstructionSetTests {
    @Test func portableIsAlwaysThere() {
        #expect(InstructionSet.available.first == .scalar)
        #expect(InstructionSet.available.contains(InstructionSet.selected))
        #expect(ck_isa_select(CK_ISA_NEON) == 0 || InstructionSet.neon.isAvailable)
        #expect(!InstructionSet.i8mm.isAvailable || InstructionSet.neon.isAvailable)
        #expect(ck_format_find(4) == nil)
    }

    @Test func theErrorNamesTheChoices() {
        let error = InstructionSetError.unavailable(name: "avx9", available: [.scalar, .avx2])
        #expect(error.description == "INFER_ISA=avx9: this machine offers scalar, avx2")
    }
}
