import Foundation

/// Files that a user names.
enum TextFile {
    /// Without a byte-order mark and without the line break that ends the file: neither is part of what was asked.
    static func contents(of path: String) throws -> String { try decoded(try data(of: path), from: path) }

    static func data(of path: String) throws -> Data {
        do {
            return try Data(contentsOf: URL(filePath: path))
        } catch let error as CocoaError {
            let reason = (error.underlying as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
            throw CommandError("cannot read \(path)" + (reason.map { ": \($0.lowercased())" } ?? ""))
        }
    }

    static func decoded(_ data: Data, from source: String) throws -> String {
        var text = try whole(withoutMark(data), from: source)
        if text.endsWithLineBreak { text.removeLast() }
        return text
    }

    /// As it stands, with the line break that ends it.
    static func whole(_ data: Data, from source: String) throws -> String {
        guard let text = String(validating: data, as: UTF8.self) else {
            throw CommandError("\(source) is not UTF-8 text")
        }
        return text
    }

    /// Some editors put U+FEFF before a text to say that it is UTF-8.
    static func withoutMark(_ data: Data) -> Data {
        data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data
    }
}

extension String {
    /// In either spelling: CR LF is one character, which does not end in LF.
    var endsWithLineBreak: Bool { last == "\n" || last == "\r\n" }
}
