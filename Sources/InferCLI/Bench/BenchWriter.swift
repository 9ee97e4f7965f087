import ArgumentParser
import ChatTemplates
import Foundation

/// How `infer bench` prints its rows.
enum BenchFormat: String, CaseIterable, ExpressibleByArgument {
    case md, json, jsonl, csv
}

/// Writes rows one by one, as soon as they are measured.
struct BenchWriter {
    private let format: BenchFormat
    private let print: (String) throws -> Void
    private var count = 0

    /// - Parameter print: receives the text line by line.
    init(_ format: BenchFormat, print: @escaping (String) throws -> Void) {
        self.format = format
        self.print = print
    }

    mutating func write(_ row: BenchRow) throws {
        switch format {
        case .md:
            if count == 0 {
                try print(Self.tableLine(Self.columns.map { $0.title }))
                try print(Self.tableLine(Self.columns.map { $0.isNumber ? "---:" : "---" }))
            }
            try print(Self.tableLine(Self.columns.map { $0.text(row) }))
        case .json:
            try print((count == 0 ? "[ " : ", ") + Self.object(row))
        case .jsonl:
            try print(Self.object(row))
        case .csv:
            if count == 0 { try print(row.fields.map { Self.quoted($0.key) }.joined(separator: ",")) }
            try print(row.fields.map { Self.cell($0.value) }.joined(separator: ","))
        }
        count += 1
    }

    /// - Parameter last: the last row, for the facts that hold for all.
    mutating func finish(last: BenchRow?) throws {
        switch format {
        case .json: try print(count == 0 ? "[]" : "]")
        case .md:
            guard let last else { return }
            let commit = last.setting.commit.isEmpty ? "" : ", commit \(last.setting.commit)"
            try print("")
            try print(
                String(
                    format: "%@%@; last measured limits: %.1f GB/s, %.0f GMAC/s in int8", last.setting.cpu, commit,
                    last.bandwidth, last.int8Peak))
        case .jsonl, .csv: break
        }
    }

    private struct Column: Sendable {
        let title: String
        var isNumber = true
        let text: @Sendable (BenchRow) -> String
    }

    private static let columns: [Column] = [
        Column(title: "model", isNumber: false) { $0.setting.model },
        Column(title: "format", isNumber: false) { $0.setting.format },
        Column(title: "isa", isNumber: false) { $0.setting.isa },
        Column(title: "threads") { String($0.setting.threads) },
        Column(title: "batch") { String($0.setting.batch) },
        Column(title: "cache", isNumber: false) { row in
            let (keys, values) = (row.setting.cacheTypeK, row.setting.cacheTypeV)
            return keys == values ? keys : "\(keys)/\(values)"
        },
        Column(title: "test", isNumber: false) { $0.test.name },
        Column(title: "t/s") { speed($0.tokensPerSecond.median) },
        Column(title: "min … max") { row in
            "\(speed(row.tokensPerSecond.smallest)) … \(speed(row.tokensPerSecond.largest))"
        },
        Column(title: "MB/token") { String(format: "%.1f", $0.bytesPerToken / 1e6) },
        Column(title: "GB/s") { String(format: "%.1f", $0.gigabytesPerSecond) },
        Column(title: "of bandwidth") { String(format: "%.0f %%", 100 * $0.bandwidthShare) },
        Column(title: "GMAC/s") { String(format: "%.1f", $0.gigamacsPerSecond) },
        Column(title: "of int8 peak") { String(format: "%.0f %%", 100 * $0.int8PeakShare) },
    ]

    private static func speed(_ value: Double) -> String { String(format: value < 100 ? "%.2f" : "%.1f", value) }

    private static func tableLine(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }

    private static func object(_ row: BenchRow) -> String {
        JSONValue.object(JSONObject(row.fields.map { ($0.key, $0.value) })).text(.spaced)
    }

    private static func cell(_ value: JSONValue) -> String {
        if case .string(let text) = value { quoted(text) } else { value.text() }
    }

    /// RFC 4180: quotation marks within are doubled.
    private static func quoted(_ text: String) -> String {
        "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }
}
