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
            0xb5c...0xb5d,
            0xf43, 0xf4d, 0xf52, 0xf57, 0xf5c, 0xf69, 0x1f70...0x1fff, 0x2000...0x2001,
            0x2126...0x212b, 0x2329...0x232a, 0x2adc, 0xf900...0xfaff, 0xfb1d...0xfb4f, 0x1d15e...0x1d164,
            0x1d1bb...0x1d1c0, 0x2f800...0x2fa1f:
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

    /// The text in form C. `scalars` are the packed scalars of `bytes`.
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
                var text = ""
                for packed in scalars[start..<index] { text.unicodeScalars.append(scalar(packed)) }
                result.append(contentsOf: text.precomposedStringWithCanonicalMapping.utf8)
            }
        }
        return result
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
