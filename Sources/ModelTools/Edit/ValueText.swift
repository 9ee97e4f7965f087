import Foundation
package import GGUF

/// Metadata values as people type them: `TYPE:VALUE`, or `VALUE` alone where a value of that type is there already.
///
/// Types are those of the format, `bool` `string` `uint32` `float32` …; `int`, `float` and `str` stand for `int32`,
/// `float32` and `string`, as in llama.cpp's `--override-kv`. With `[]` behind it a type means an array, `[1,2,3]` or
/// `["a","b"]`.
package enum ValueText {
    /// - Parameter current: the value that the key has now.
    /// - Throws: `EditError.typeNeeded`, `.value`.
    package static func value(_ text: String, key: String, current: GGUFValue?) throws(EditError) -> GGUFValue {
        if let colon = text.firstIndex(of: ":"), let kind = Kind(text[..<colon]) {
            return try kind.value(String(text[text.index(after: colon)...]), key: key)
        }
        guard let kind = current.flatMap({ Kind(of: $0) }) else { throw .typeNeeded(key: key) }
        return try kind.value(text, key: key)
    }

    static let typeNames = GGUFValueType.allCases.filter { $0 != .array }.map { "\($0)" }

    private struct Kind {
        let element: GGUFValueType
        let isArray: Bool

        init?(_ name: Substring) {
            isArray = name.hasSuffix("[]")
            let base = isArray ? name.dropLast(2) : name
            let short = ["int": "int32", "float": "float32", "str": "string"][base] ?? String(base)
            guard let type = GGUFValueType.allCases.first(where: { "\($0)" == short }), type != .array else {
                return nil
            }
            element = type
        }

        /// Nil for an array of arrays, which cannot be typed.
        init?(of value: GGUFValue) {
            isArray = value.array != nil
            element = value.array?.elementType ?? value.type
            if element == .array { return nil }
        }

        func value(_ text: String, key: String) throws(EditError) -> GGUFValue {
            let fault = EditError.value(key: key, text: text, type: "\(element)" + (isArray ? "[]" : ""))
            guard isArray else {
                guard let value = scalar(text) else { throw fault }
                return value
            }
            guard let array = array(text) else { throw fault }
            return .array(array)
        }

        private func scalar(_ text: String) -> GGUFValue? {
            switch element {
            case .uint8: UInt8(text).map { .uint8($0) }
            case .int8: Int8(text).map { .int8($0) }
            case .uint16: UInt16(text).map { .uint16($0) }
            case .int16: Int16(text).map { .int16($0) }
            case .uint32: UInt32(text).map { .uint32($0) }
            case .int32: Int32(text).map { .int32($0) }
            case .uint64: UInt64(text).map { .uint64($0) }
            case .int64: Int64(text).map { .int64($0) }
            // A number beyond the type's range must not become infinite unnoticed.
            case .float32: Float(text).flatMap { $0.isFinite ? .float32($0) : nil }
            case .float64: Double(text).flatMap { $0.isFinite ? .float64($0) : nil }
            case .bool: Bool(text).map { .bool($0) }
            case .string: .string(text)
            case .array: nil
            }
        }

        private func array(_ text: String) -> GGUFArray? {
            if element == .string {
                return (try? JSONDecoder().decode([String].self, from: Data(text.utf8))).map { GGUFArray($0) }
            }
            guard text.hasPrefix("["), text.hasSuffix("]"), text.utf8.count >= 2 else { return nil }
            let inner = text.dropFirst().dropLast().trimmingCharacters(in: .whitespaces)
            let parts = inner.isEmpty ? [] : inner.split(separator: ",", omittingEmptySubsequences: false)
            var values: [GGUFValue] = []
            for part in parts {
                guard let value = scalar(part.trimmingCharacters(in: .whitespaces)) else { return nil }
                values.append(value)
            }
            return GGUFArray(values, of: element)
        }
    }
}
