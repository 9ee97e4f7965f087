#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

func floatPower(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// C's `%.*f`, `%.*e` and `%.*g`, which round the exact binary value as Python does.
/// - Parameters:
///   - precision: at most `maximumFloatPrecision`, checked by the caller.
///   - style: one of the letters f, F, e, E, g and G.
func floatText(_ value: Double, style: Character, precision: Int, alternate: Bool = false) -> String {
    // The largest Double has 309 digits before the point.
    var buffer = [CChar](repeating: 0, count: maximumFloatPrecision + 350)
    let format = "%\(alternate ? "#" : "").*\(style)"
    let count = withVaList([Int32(precision), value]) { vsnprintf(&buffer, buffer.count, format, $0) }
    return String(decoding: buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

let maximumFloatPrecision = 1000
