import Foundation

/// The logits of a model for a text, in a file that other models are compared with. All numbers are little-endian.
///
///     0   8 bytes   "INFLOGIT"
///     8   u32       version, 1
///     12  u32       V, tokens of the vocabulary
///     16  u64       fingerprint of the vocabulary: FNV-1a over the tokens' text, a zero byte behind each
///     24  u32       tokens of a window
///     28  u32       stride
///     32  i32       the token that every window begins with, -1: none
///     36  u32       0
///     40  u64       N, tokens of the text
///     48  i32[N]    the tokens
///         rows      one per scored token, in the order of the text: f32 step, u16[V] codes
///
/// Which tokens are scored follows from `ScoringWindow`. A logit is its row's largest minus code · step: the logits of a
/// row are stored evenly between the largest and the smallest, and only the most likely token has code 0.
package struct LogitsFile {
    package let path: String
    package let vocabularySize: Int
    package let vocabularyFingerprint: UInt64
    package let text: ScoredText
    private let data: Data
    private let firstRow: Int

    static let magic = Array("INFLOGIT".utf8)
    static let version: UInt32 = 1
    static let headerBytes = 48
    static func rowBytes(_ vocabulary: Int) -> Int { 4 + 2 * vocabulary }

    /// Maps the file.
    /// - Throws: `EvaluationError.damaged` for a file of another kind or size, `.io`.
    package init(path: String) throws {
        self.path = path
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
        } catch {
            throw EvaluationError.io(path: path, "cannot be read")
        }
        self.data = data
        func number<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
            data.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }
        func damaged(_ what: String) -> EvaluationError { .damaged(path: path, what) }
        guard Self.isLogits(data) else { throw damaged("not a file of logits") }
        guard data.count >= Self.headerBytes else { throw damaged("cut off in its header") }
        let version = number(8, UInt32.self)
        guard version == Self.version else { throw damaged("version \(version), expected \(Self.version)") }
        let (length, stride) = (Int(number(24, UInt32.self)), Int(number(28, UInt32.self)))
        let lead = number(32, Int32.self)
        vocabularySize = Int(number(12, UInt32.self))
        vocabularyFingerprint = number(16, UInt64.self)
        guard 1...(1 << 24) ~= vocabularySize else { throw damaged("a vocabulary of \(vocabularySize) tokens") }
        // The file's own size bounds what is taken in.
        let count = number(40, UInt64.self)
        guard count <= UInt64((data.count - Self.headerBytes) / 4) else {
            throw damaged("\(data.count) bytes, too few for \(count) tokens")
        }
        let ids = (0..<Int(count)).map { number(Self.headerBytes + 4 * $0, Int32.self) }
        let vocabulary = vocabularySize
        guard lead >= -1, lead < vocabulary, ids.allSatisfy({ $0 >= 0 && $0 < vocabulary }) else {
            throw damaged("a token outside the vocabulary of \(vocabulary) tokens")
        }
        do {
            text = try ScoredText(
                tokens: ids, length: length, stride: stride, lead: lead < 0 ? nil : lead, capacity: Int(UInt32.max))
        } catch {
            throw damaged(error.description)
        }
        firstRow = Self.headerBytes + 4 * ids.count
        let (bytes, overflow) = text.scoredCount.multipliedReportingOverflow(by: Self.rowBytes(vocabulary))
        guard !overflow, data.count - firstRow == bytes else {
            throw damaged("\(data.count) bytes, expected \(firstRow + (overflow ? 0 : bytes)) for \(ids.count) tokens")
        }
    }

    /// Whether a file begins as files of logits do.
    package static func isLogits(path: String) -> Bool {
        guard let file = FileHandle(forReadingAtPath: path) else { return false }
        defer { try? file.close() }
        return (try? file.read(upToCount: magic.count)).map { isLogits($0) } ?? false
    }

    private static func isLogits(_ data: Data) -> Bool { data.prefix(magic.count).elementsEqual(magic) }

    /// Writes the logits of one scored token into `out` (vocabulary), the largest as 0.
    /// - Returns: the most likely token.
    func read(row: Int, into out: UnsafeMutableBufferPointer<Float>) throws(EvaluationError) -> Int {
        let start = firstRow + row * Self.rowBytes(vocabularySize)
        let result = data.withUnsafeBytes { bytes -> (step: Float, best: Int?) in
            let step = Float(
                bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
            var best: Int?
            for index in 0..<vocabularySize {
                let code = UInt16(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: start + 4 + 2 * index, as: UInt16.self))
                out[index] = max(-step * Float(code), -.greatestFiniteMagnitude)
                if code == 0, best == nil { best = index }
            }
            return (step, best)
        }
        guard result.step.isFinite, result.step >= 0, let best = result.best else {
            throw .damaged(path: path, "row \(row) is damaged")
        }
        return best
    }
}

/// Writes a `LogitsFile` row by row; it appears under its name when it is complete.
///
/// Until then it is `NAME.part`; a run that is broken off goes on with that.
package final class LogitsWriter {
    private let path: String
    private let partPath: String
    private let file: FileHandle
    private let rowBytes: Int
    private let header: Data
    private var row: [UInt8]

    /// - Throws: `EvaluationError.io`.
    package init(path: String, _ text: ScoredText, vocabularySize: Int, fingerprint: UInt64) throws {
        self.path = path
        partPath = path + ".part"
        rowBytes = LogitsFile.rowBytes(vocabularySize)
        row = [UInt8](repeating: 0, count: rowBytes)
        var header = Data(LogitsFile.magic)
        func append(_ number: some FixedWidthInteger) {
            withUnsafeBytes(of: number.littleEndian) { header.append(contentsOf: $0) }
        }
        append(LogitsFile.version)
        append(UInt32(vocabularySize))
        append(fingerprint)
        append(UInt32(text.length))
        append(UInt32(text.stride))
        append(text.lead ?? -1)
        append(UInt32(0))
        append(UInt64(text.tokens.count))
        for token in text.tokens { append(token) }
        self.header = header
        if !FileManager.default.fileExists(atPath: partPath) {
            _ = FileManager.default.createFile(atPath: partPath, contents: nil)
        }
        guard let file = FileHandle(forUpdatingAtPath: partPath) else {
            throw EvaluationError.io(path: partPath, "cannot be written")
        }
        self.file = file
    }

    /// Rows that are there from a run before.
    package func existingRows() throws -> Int {
        try file.seek(toOffset: 0)
        guard try file.read(upToCount: header.count) == header else { return 0 }
        return Int(try file.seekToEnd() - UInt64(header.count)) / rowBytes
    }

    /// The next row will be number `rows`; those behind it are dropped.
    package func go(to rows: Int) throws {
        try tell {
            if rows == 0 {
                try file.truncate(atOffset: 0)
                try file.write(contentsOf: header)
            }
            try file.truncate(atOffset: UInt64(header.count + rows * rowBytes))
            try file.seekToEnd()
        }
    }

    /// - Parameter best: the most likely token; its logit is the largest.
    func write(_ logits: UnsafeBufferPointer<Float>, best: Int) throws {
        let largest = logits[best]
        var smallest = largest
        for value in logits where value < smallest { smallest = value }
        // In double precision no difference of two floats is too large.
        let step = Float((Double(largest) - Double(smallest)) / 65_535)
        let scale = step > 0 ? 1 / Double(step) : 0
        row.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: step.bitPattern.littleEndian, as: UInt32.self)
            for index in 0..<logits.count {
                let steps = ((Double(largest) - Double(logits[index])) * scale).rounded()
                let code = min(max(steps, index == best ? 0 : 1), 65_535)
                bytes.storeBytes(of: UInt16(code).littleEndian, toByteOffset: 4 + 2 * index, as: UInt16.self)
            }
        }
        try tell { try file.write(contentsOf: row) }
    }

    /// Gives the file its name.
    package func commit() throws {
        try tell {
            try file.synchronize()
            guard rename(partPath, path) == 0 else {
                throw EvaluationError.io(path: path, String(cString: strerror(errno)))
            }
        }
    }

    private func tell(_ work: () throws -> Void) throws {
        do { try work() } catch let error as CocoaError {
            throw EvaluationError.io(path: partPath, error.localizedDescription)
        }
    }
}
