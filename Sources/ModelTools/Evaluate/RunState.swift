import Foundation

/// What an evaluation has found so far, in a file, so that it goes on where it was broken off.
///
/// JSON Lines: first an object that names the evaluation, then one object per finished part. A last line that was cut
/// off is made again.
package final class RunState<Record: Codable> {
    package private(set) var records: [Record] = []
    /// Nil: nothing is kept.
    package let path: String?
    private let file: FileHandle?

    private struct Header: Codable {
        var evaluation: String
    }

    /// - Parameter identity: what makes this evaluation another than others; a file of another one is refused.
    /// - Throws: `EvaluationError`.
    package init(path: String?, identity: String) throws {
        self.path = path
        guard let path else {
            file = nil
            return
        }
        if !FileManager.default.fileExists(atPath: path) {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw EvaluationError.io(path: path, "cannot be created")
            }
        }
        guard let handle = FileHandle(forUpdatingAtPath: path) else {
            throw EvaluationError.io(path: path, "cannot be opened for writing")
        }
        file = handle
        guard flock(handle.fileDescriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw EvaluationError.io(path: path, "another evaluation writes this file")
        }
        guard try handle.seekToEnd() <= Self.mostBytes else {
            throw EvaluationError.io(path: path, "larger than \(Self.mostBytes) bytes")
        }
        try handle.seek(toOffset: 0)
        try resume(handle, path, identity)
    }

    private func resume(_ handle: FileHandle, _ path: String, _ identity: String) throws {
        let data = try handle.readToEnd() ?? Data()
        let whole = data.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let lines = data[..<whole].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
        let decoder = JSONDecoder()
        for (number, line) in lines.enumerated() {
            do {
                if number == 0 {
                    let header = try decoder.decode(Header.self, from: line)
                    guard header.evaluation == identity else {
                        throw EvaluationError.otherRun(path: path, found: header.evaluation, expected: identity)
                    }
                } else {
                    records.append(try decoder.decode(Record.self, from: line))
                }
            } catch is DecodingError {
                throw EvaluationError.damaged(path: path, "line \(number + 1) is no record of an evaluation")
            }
        }
        // A file of something else is not written over.
        if lines.isEmpty, !data.isEmpty, data.first != UInt8(ascii: "{") {
            throw EvaluationError.damaged(path: path, "line 1 is no record of an evaluation")
        }
        try handle.truncate(atOffset: UInt64(whole))
        if lines.isEmpty { try write(Header(evaluation: identity)) }
    }

    package func append(_ record: Record) throws {
        try write(record)
        records.append(record)
    }

    private func write(_ value: some Encodable) throws {
        guard let file, let path else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            try file.write(contentsOf: try encoder.encode(value) + Data("\n".utf8))
        } catch let error as CocoaError {
            throw EvaluationError.io(path: path, error.localizedDescription)
        }
    }

    /// Nothing is left to go on with.
    package func remove() {
        if let path { try? FileManager.default.removeItem(atPath: path) }
    }

    private static var mostBytes: UInt64 { 1 << 30 }
}
