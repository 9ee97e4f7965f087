import ChatTemplates

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

func exponential(_ value: Float) -> Float { Float(exp(Double(value))) }

/// `config.json`, read with bounds: every number is checked before it is multiplied or allocated with.
struct ModelConfig {
    /// The whole file.
    let root: JSONObject
    /// The part about the language model; the whole file where there is no such part.
    let text: JSONObject

    init(_ root: JSONObject) {
        self.root = root
        text = root["text_config"]?.objectValue ?? root
    }

    /// `architectures[0]`.
    var architecture: String {
        root["architectures"]?[0]?.stringValue ?? text["architectures"]?[0]?.stringValue ?? ""
    }

    private func value(_ key: String) -> JSONValue? {
        guard let value = text[key] ?? root[key], !value.isNull else { return nil }
        return value
    }

    func has(_ key: String) -> Bool { value(key) != nil }

    // MARK: Typed reads. Each throws `ConvertError.config`.

    func int(
        _ key: String, in range: ClosedRange<Int> = 1...(1 << 26), default fallback: Int? = nil
    ) throws(ConvertError) -> Int {
        guard let found = value(key) else {
            if let fallback { return fallback }
            throw missing(key, "a whole number")
        }
        guard let number = found.intValue ?? found.doubleValue.flatMap({ Int(exactly: $0) }), range.contains(number)
        else { throw wrong(key, found, "a whole number from \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    func optionalInt(_ key: String, in range: ClosedRange<Int> = 1...(1 << 26)) throws(ConvertError) -> Int? {
        has(key) ? try int(key, in: range) : nil
    }

    func double(_ key: String, default fallback: Double? = nil) throws(ConvertError) -> Double {
        guard let found = value(key) else {
            if let fallback { return fallback }
            throw missing(key, "a number")
        }
        guard let number = found.doubleValue, number.isFinite else { throw wrong(key, found, "a number") }
        return number
    }

    func bool(_ key: String, default fallback: Bool) throws(ConvertError) -> Bool {
        guard let found = value(key) else { return fallback }
        guard let flag = found.boolValue else { throw wrong(key, found, "true or false") }
        return flag
    }

    func optionalString(_ key: String) throws(ConvertError) -> String? {
        guard let found = value(key) else { return nil }
        guard let text = found.stringValue else { throw wrong(key, found, "text") }
        return text
    }

    /// One text for each layer, or nil when the key is absent.
    func optionalStrings(_ key: String, count: Int? = nil) throws(ConvertError) -> [String]? {
        guard let found = value(key) else { return nil }
        guard let list = found.arrayValue?.compactMap(\.stringValue), list.count == found.arrayValue?.count,
            count == nil || list.count == count
        else { throw wrong(key, found, "a list of \(count.map { "\($0) " } ?? "")texts") }
        return list
    }

    func ints(_ key: String) throws(ConvertError) -> [Int]? {
        guard let found = value(key) else { return nil }
        guard let list = found.arrayValue?.compactMap(\.intValue), list.count == found.arrayValue?.count else {
            throw wrong(key, found, "a list of whole numbers")
        }
        return list
    }

    /// A number that the caller checks; nil for anything else.
    func number(_ key: String) -> Int? { value(key)?.intValue }

    func object(_ key: String) -> JSONObject? { value(key)?.objectValue }

    /// Refuses a setting that would change the results and that the file cannot state or the engine cannot run.
    func demand(_ key: String, _ expected: String..., orAbsent: Bool = true) throws(ConvertError) {
        guard let found = value(key) else {
            if orAbsent { return }
            throw missing(key, expected.joined(separator: " or "))
        }
        guard expected.contains(describe(found)) else { throw wrong(key, found, expected.joined(separator: " or ")) }
    }

    func conflict(_ key: String, found: some CustomStringConvertible, expected: String) -> ConvertError {
        .config(key: key, found: found.description, expected: expected)
    }

    private func missing(_ key: String, _ expected: String) -> ConvertError {
        .config(key: key, found: "missing", expected: expected)
    }

    private func wrong(_ key: String, _ value: JSONValue, _ expected: String) -> ConvertError {
        .config(key: key, found: describe(value), expected: expected)
    }
}

private func describe(_ value: JSONValue) -> String {
    if let text = value.stringValue { return text }
    if let number = value.intValue { return "\(number)" }
    if let number = value.doubleValue { return "\(number)" }
    if let flag = value.boolValue { return "\(flag)" }
    if let list = value.arrayValue { return "a list of \(list.count)" }
    return value.isNull ? "null" : "an object"
}

/// The rotation of a configuration: `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before).
struct RopeConfig {
    var base: Double
    /// default, linear, yarn, llama3, longrope or proportional.
    var kind: String
    /// The rotated part of a head.
    var partial: Double
    private let settings: JSONObject

    /// - Parameter layerType: for configurations that rotate kinds of layers differently.
    init(_ config: ModelConfig, defaultBase: Double = 10_000, layerType: String? = nil) throws(ConvertError) {
        var settings = config.object("rope_parameters") ?? JSONObject()
        if let layerType, let own = settings[layerType]?.objectValue { settings = own }
        let scaling = config.object("rope_scaling") ?? JSONObject()
        for (key, value) in scaling.members where settings[key] == nil { settings[key] = value }
        self.settings = settings
        let (ownBase, ownPart) = (settings["rope_theta"]?.doubleValue, settings["partial_rotary_factor"]?.doubleValue)
        base = try config.double("rope_theta", default: defaultBase)
        partial = try config.double("partial_rotary_factor", default: 1)
        if let ownBase { base = ownBase }
        if let ownPart { partial = ownPart }
        let stated = settings["rope_type"]?.stringValue ?? settings["type"]?.stringValue ?? "default"
        // Older names: "mrope" is the plain rotation for text, "su" became longrope.
        kind = ["mrope": "default", "su": "longrope"][stated] ?? stated
        guard base.isFinite, base > 1, partial > 0, partial <= 1 else {
            throw .config(key: "rope_theta", found: "\(base) over \(partial) of a head", expected: "above 1, up to 1")
        }
    }

    func number(_ key: String) throws(ConvertError) -> Double {
        guard let value = optional(key) else {
            throw .config(key: "rope_scaling.\(key)", found: "missing", expected: "a number")
        }
        return value
    }

    func optional(_ key: String) -> Double? { settings[key]?.doubleValue.flatMap { $0.isFinite ? $0 : nil } }
    func flag(_ key: String) -> Bool? { settings[key]?.boolValue }
    func numbers(_ key: String) -> [Double]? { settings[key]?.arrayValue?.map { $0.doubleValue ?? .nan } }
    func ints(_ key: String) -> [Int]? { settings[key]?.arrayValue?.map { $0.intValue ?? -1 } }
}
