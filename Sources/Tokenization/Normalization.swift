import Foundation

/// Unicode normalisation form C, for vocabularies whose original tokenizer applies it (UAX #15).
///
/// Nearly all text is in that form already. Only stretches around scalars that may change are handed to Foundation.
enum Normalization {
    /// Whether the scalar may be changed by NFC or may combine with the one before it: non-zero combining class or
    /// NFC_Quick_Check "no" or "maybe". A superset: marks as a whole, and blocks around single scalars.
    static func isUnstable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x300: return false
        // Singletons and composition exclusions (DerivedNormalizationProps.txt, NFC_QC=N), rounded to ranges.
        case 0x340...0x345, 0x374, 0x37e, 0x387, 0x958...0x95f, 0x9dc...0x9df, 0xa33...0xa36, 0xa59...0xa5e,
            0xb5c...0xb5d, 0xf43, 0xf4d, 0xf52, 0xf57, 0xf5c, 0xf69, 0x1f70...0x1fff, 0x2000...0x2001, 0x2126...0x212b,
            0x2329...0x232a, 0x2adc, 0xf900...0xfaff, 0xfb1d...0xfb4f, 0x1d15e...0x1d164, 0x1d1bb...0x1d1c0,
            0x2f800...0x2fa1f:
            return true
        // Hangul vowels and final consonants, and letters that combine with their predecessor (NFC_QC=M).
        case 0x1160...0x11ff, 0x16d60...0x16d6f: return true
        default:
            switch scalar.properties.generalCategory {
            case .nonspacingMark, .spacingMark, .enclosingMark: return true
            default: return scalar.properties.canonicalCombiningClass != .notReordered
            }
        }
    }

    /// Marks in one stretch that are put in order together. Longer stretches occur in no language; cutting them keeps
    /// the time linear.
    private static let longestStretch = 1024

    /// The UTF-8 of the packed scalars in form C.
    static func composed(_ scalars: [UInt32]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(scalars.count)
        var index = 0
        while index < scalars.count {
            let start = index
            index += 1
            while index < scalars.count, index - start < longestStretch,
                scalars[index] & ScalarClass.unstable.rawValue != 0
            { index += 1 }
            if index == start + 1, scalars[start] & ScalarClass.unstable.rawValue == 0 {
                append(scalars[start], to: &result)
            } else {
                appendComposed(scalars[start..<index], to: &result)
            }
        }
        return result
    }

    /// Appends a scalar and those after it that may combine with it. Where Foundation's form C is not that of the
    /// standard its input is made such that it is.
    private static func appendComposed(_ stretch: ArraySlice<UInt32>, to result: inout [UInt8]) {
        var stretch = stretch
        // Looked up by its low 16 bits, U+10048 would become an H with a cedilla.
        if let first = stretch.first, first & ScalarClass.scalarMask > 0xffff,
            first & ScalarClass.unstable.rawValue == 0,
            stretch.dropFirst().allSatisfy({ $0 & ScalarClass.scalarMask <= 0xffff })
        {
            append(first, to: &result)
            stretch.removeFirst()
        }
        sortMarks(&stretch)
        var text = ""
        for packed in stretch {
            // The Tibetan vowels that are two marks of different classes have to be put in order apart.
            switch packed & ScalarClass.scalarMask {
            case 0xf73: text.unicodeScalars.append(contentsOf: ["\u{f71}", "\u{f72}"])
            case 0xf75: text.unicodeScalars.append(contentsOf: ["\u{f71}", "\u{f74}"])
            case 0xf81: text.unicodeScalars.append(contentsOf: ["\u{f71}", "\u{f80}"])
            default: text.unicodeScalars.append(scalar(packed))
            }
        }
        appendComposingHangul(text.precomposedStringWithCanonicalMapping.unicodeScalars, to: &result)
    }

    /// Canonical ordering: Foundation leaves marks where they are that are newer than its tables.
    private static func sortMarks(_ stretch: inout ArraySlice<UInt32>) {
        func combiningClass(_ packed: UInt32) -> UInt8 { scalar(packed).properties.canonicalCombiningClass.rawValue }
        var start = stretch.startIndex
        while start < stretch.endIndex {
            guard combiningClass(stretch[start]) != 0 else {
                start += 1
                continue
            }
            let end = stretch[start...].firstIndex { combiningClass($0) == 0 } ?? stretch.endIndex
            if end - start > 1 {
                // Swift's sort keeps the order of equals, but does not promise to.
                let ordered = stretch[start..<end].enumerated().sorted {
                    (combiningClass($0.element), $0.offset) < (combiningClass($1.element), $1.offset)
                }
                stretch.replaceSubrange(start..<end, with: ordered.map { $0.element })
            }
            start = end
        }
    }

    /// Appends scalars, joining Hangul letters to syllables, which Foundation does only where no syllable was there
    /// before (Unicode standard, section 3.12, Hangul syllable composition).
    private static func appendComposingHangul(_ scalars: String.UnicodeScalarView, to result: inout [UInt8]) {
        var last: UInt32?
        for scalar in scalars {
            let value = scalar.value
            if let first = last, (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(value) {
                last = 0xac00 + ((first - 0x1100) * 21 + value - 0x1161) * 28
            } else if let first = last, (0xac00..<0xd7a4).contains(first), (first - 0xac00) % 28 == 0,
                (0x11a8..<0x11c3).contains(value)
            {
                last = first + value - 0x11a7
            } else {
                if let last { append(last, to: &result) }
                last = value
            }
        }
        if let last { append(last, to: &result) }
    }

    /// The scalars in form D.
    static func decomposed(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        for start in stride(from: 0, to: scalars.count, by: longestStretch) {
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars[start..<min(start + longestStretch, scalars.count)])
            result.append(contentsOf: text.decomposedStringWithCanonicalMapping.unicodeScalars)
        }
        return result
    }

    static func scalar(_ packed: UInt32) -> Unicode.Scalar {
        Unicode.Scalar(packed & ScalarClass.scalarMask) ?? "\u{fffd}"
    }

    private static func append(_ packed: UInt32, to result: inout [UInt8]) {
        let value = packed & ScalarClass.scalarMask
        if value < 0x80 {
            result.append(UInt8(value))
        } else {
            result.append(contentsOf: UTF8.encode(scalar(packed)) ?? UTF8.encodedReplacementCharacter)
        }
    }
}
