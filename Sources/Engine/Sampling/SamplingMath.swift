/// `exp` and `log` made of single IEEE operations, so that a seed draws the same tokens with every C library.
///
/// Both are within 2 ulp of the exact value over the ranges that sampling needs.
package enum SamplingMath {
    package static let ln2 = 0.693_147_180_559_945_3

    /// e^x; 0 below about −745, infinity above about 709.
    package static func exp(_ x: Double) -> Double {
        if x.isNaN { return x }
        if x < -745.2 { return 0 }
        if x > 709.79 { return .infinity }
        // x = k·ln 2 + r with |r| ≤ ln 2 / 2; ln 2 in two parts keeps r exact.
        let k = (x * 1.442_695_040_888_963_4).rounded(.toNearestOrEven)
        let r = (x - k * 0.693_147_180_369_123_8) - k * 1.908_214_929_270_587_7e-10
        // Taylor series; the first term left out is below 2e-16 relative.
        var sum = 1.0 / 479_001_600
        for inverse in inverseFactorials { sum = sum * r + inverse }
        // Two steps so that results below the smallest normal number come out as well.
        let half = Int(k) / 2
        return sum * powerOfTwo(half) * powerOfTwo(Int(k) - half)
    }

    /// Natural logarithm of a positive finite number.
    package static func log(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x < .infinity else { return x }
        var exponent = Int(x.exponent)
        var mantissa = x.significand
        if mantissa > 1.414_213_562_373_095_1 {
            mantissa /= 2
            exponent += 1
        }
        // ln m = 2·artanh(s), s = (m − 1) / (m + 1), |s| ≤ 0.172
        let s = (mantissa - 1) / (mantissa + 1)
        let square = s * s
        var sum = 0.0
        for denominator in stride(from: 21.0, through: 3.0, by: -2.0) { sum = (sum + 1 / denominator) * square }
        return Double(exponent) * ln2 + 2 * s * (1 + sum)
    }

    /// 1/11!, 1/10!, … 1/0!
    private static let inverseFactorials: [Double] = [
        1.0 / 39_916_800, 1.0 / 3_628_800, 1.0 / 362_880, 1.0 / 40_320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24,
        1.0 / 6, 1.0 / 2, 1, 1,
    ]

    private static func powerOfTwo(_ exponent: Int) -> Double {
        Double(sign: .plus, exponent: exponent, significand: 1)
    }
}
