import ChatTemplates
import Foundation

/// The JSON files of a model folder.
enum JSONFile {
    /// Tokenizers of a quarter of a million tokens have some 35 MB.
    static let largest = 1 << 28

    /// The object in a file, or nil when there is no such file.
    /// - Throws: `ConvertError.file`, `.format`.
    static func readIfPresent(_ path: String) throws(ConvertError) -> JSONObject? {
        FileManager.default.fileExists(atPath: path) ? try read(path) : nil
    }

    static func read(_ path: String) throws(ConvertError) -> JSONObject {
        try parse(try bytes(path), path: path)
    }

    static func parse(_ bytes: [UInt8], path: String) throws(ConvertError) -> JSONObject {
        let value: JSONValue
        do { value = try JSONValue(parsing: withoutInfinities(bytes)) } catch {
            throw .format(path: path, field: "the text", found: "no JSON: \(error)", expected: "a JSON object")
        }
        guard let object = value.objectValue else {
            throw .format(path: path, field: "the text", found: "another JSON value", expected: "a JSON object")
        }
        return object
    }

    static func bytes(_ path: String) throws(ConvertError) -> [UInt8] {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let attributes, attributes[.type] as? FileAttributeType != .typeDirectory else {
            throw .file(path: path, reason: "no such file")
        }
        if let size = attributes[.size] as? Int, size > largest {
            throw .format(path: path, field: "the size", found: "\(size) bytes", expected: "at most \(largest)")
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .file(path: path, reason: "cannot be read")
        }
        return [UInt8](data)
    }

    /// Python writes `Infinity` and `NaN`, which are not JSON. No value that matters here is one: they become null.
    private static func withoutInfinities(_ bytes: [UInt8]) -> [UInt8] {
        let words = ["-Infinity", "Infinity", "NaN"].map { Array($0.utf8) }
        guard words.contains(where: { bytes.firstRange(of: $0) != nil }) else { return bytes }
        let firstBytes = Set(words.map { $0[0] })
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        var inString = false
        while index < bytes.count {
            let byte = bytes[index]
            if inString {
                result.append(byte)
                if byte == UInt8(ascii: "\\"), index + 1 < bytes.count {
                    index += 1
                    result.append(bytes[index])
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                index += 1
            } else if firstBytes.contains(byte), let word = words.first(where: { bytes[index...].starts(with: $0) }) {
                result += Array("null".utf8)
                index += word.count
            } else {
                inString = byte == UInt8(ascii: "\"")
                result.append(byte)
                index += 1
            }
        }
        return result
    }
}
