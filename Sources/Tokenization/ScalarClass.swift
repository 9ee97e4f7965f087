/// What pre-tokenizers ask about a Unicode scalar, as bits above the scalar value in one `UInt32`.
///
/// Bits 0…20 hold the scalar, bits 21…31 its classes. Text is turned into this form once; after that a class test is
/// one AND.
struct ScalarClass: OptionSet, Sendable {
    let rawValue: UInt32

    /// General categories Lu and Lt.
    static let upper = ScalarClass(rawValue: 1 << 21)
    /// Ll.
    static let lower = ScalarClass(rawValue: 1 << 22)
    /// Lm and Lo.
    static let otherLetter = ScalarClass(rawValue: 1 << 23)
    /// Mn, Mc, Me.
    static let mark = ScalarClass(rawValue: 1 << 24)
    /// Nd, Nl, No.
    static let number = ScalarClass(rawValue: 1 << 25)
    /// Pc, Pd, Ps, Pe, Pi, Pf, Po.
    static let punctuation = ScalarClass(rawValue: 1 << 26)
    /// Sm, Sc, Sk, So.
    static let symbol = ScalarClass(rawValue: 1 << 27)
    /// Property White_Space: `\s` of the regular expressions.
    static let space = ScalarClass(rawValue: 1 << 28)
    /// Carriage return and line feed.
    static let newline = ScalarClass(rawValue: 1 << 29)
    /// Script Han.
    static let han = ScalarClass(rawValue: 1 << 30)
    /// May change, or change its predecessor, under NFC (see `Normalization`).
    static let unstable = ScalarClass(rawValue: 1 << 31)

    static let letter: ScalarClass = [.upper, .lower, .otherLetter]

    static let scalarMask: UInt32 = (1 << 21) - 1

    /// The classes of a scalar value.
    static func of(_ scalar: UInt32) -> ScalarClass {
        scalar < UInt32(table.count) ? ScalarClass(rawValue: UInt32(table[Int(scalar)]) << 21) : computed(scalar)
    }

    /// Class bits, shifted down, of the first two planes; the others hold little but Han.
    private static let table: [UInt16] = (0..<0x2_0000).map { UInt16(computed($0).rawValue >> 21) }

    /// Packed form of the ASCII characters.
    static let ascii: [UInt32] = (0..<128).map { $0 | computed($0).rawValue }

    private static func computed(_ value: UInt32) -> ScalarClass {
        guard let scalar = Unicode.Scalar(value) else { return [] }
        var classes: ScalarClass
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .titlecaseLetter: classes = .upper
        case .lowercaseLetter: classes = .lower
        case .modifierLetter, .otherLetter: classes = .otherLetter
        case .nonspacingMark, .spacingMark, .enclosingMark: classes = .mark
        case .decimalNumber, .letterNumber, .otherNumber: classes = .number
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            classes = .punctuation
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: classes = .symbol
        default: classes = []
        }
        if scalar.properties.isWhitespace { classes.insert(.space) }
        if value == 0x0a || value == 0x0d { classes.insert(.newline) }
        if isHan(value) { classes.insert(.han) }
        if Normalization.isUnstable(scalar) { classes.insert(.unstable) }
        return classes
    }

    /// Script property Han (Unicode `Scripts.txt`).
    private static func isHan(_ value: UInt32) -> Bool {
        switch value {
        case 0x2e80...0x2e99, 0x2e9b...0x2ef3, 0x2f00...0x2fd5, 0x3005, 0x3007, 0x3021...0x3029, 0x3038...0x303b,
            0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfa6d, 0xfa70...0xfad9, 0x16fe2...0x16fe3, 0x16ff0...0x16ff6,
            0x20000...0x2a6df, 0x2a700...0x2ee5d, 0x2f800...0x2fa1d, 0x30000...0x33479:
            true
        default: false
        }
    }
}

/// Appends the scalars of valid UTF-8, each with its classes, and tells which classes occur at all.
func appendScalars(of bytes: UnsafeRawBufferPointer, to scalars: inout [UInt32]) -> ScalarClass {
    var seen: UInt32 = 0
    scalars.reserveCapacity(scalars.count + bytes.count)
    ScalarClass.ascii.withUnsafeBufferPointer { ascii in
        var index = 0
        while index < bytes.count {
            let lead = bytes[index]
            if lead < 0x80 {
                let packed = ascii[Int(lead)]
                scalars.append(packed)
                seen |= packed
                index += 1
                continue
            }
            let width = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
            guard index + width <= bytes.count else { return }
            var scalar = UInt32(lead) & (0x7f >> UInt32(width))
            for offset in 1..<width { scalar = scalar << 6 | UInt32(bytes[index + offset] & 0x3f) }
            let packed = scalar | ScalarClass.of(scalar).rawValue
            scalars.append(packed)
            seen |= packed
            index += width
        }
    }
    return ScalarClass(rawValue: seen & ~ScalarClass.scalarMask)
}

/// Bytes of a packed scalar in UTF-8.
@inline(__always)
func utf8Width(_ packed: UInt32) -> Int {
    let scalar = packed & ScalarClass.scalarMask
    return scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x1_0000 ? 3 : 4
}
