import Foundation

/// Rows and numbers as people read them.
enum TextTable {
    /// Rows with every column but the last padded to its widest cell.
    static func lines(_ rows: [[String]]) -> [String] {
        let columns = rows.map { $0.count }.max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column + 1 == row.count ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            return "  " + cells.joined(separator: "  ")
        }
    }

    /// "1,234,567"
    static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    /// "35.1 B", "8.0 M", "812"
    static func countText(_ count: Int) -> String {
        for (size, unit) in [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")] where Double(count) >= size {
            return "\(decimal(Double(count) / size, places: 1)) \(unit)"
        }
        return String(count)
    }

    /// "19.4 GiB", "512 B"
    static func byteText(_ bytes: Int) -> String {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] where bytes >= 1 << shift {
            return "\(decimal(Double(bytes) / Double(1 << shift), places: 1)) \(unit)"
        }
        return "\(bytes) B"
    }

    /// A number that is not negative, with one or two decimal places.
    static func decimal(_ value: Double, places: Int) -> String {
        let scale = places == 1 ? 10 : 100
        let scaled = Int((value * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
    }

    /// Four significant digits: "-0.03125", "1.5e+06".
    static func number(_ value: Double) -> String { String(format: "%.4g", value) }

    static func shape(_ dimensions: [Int]) -> String { dimensions.map { String($0) }.joined(separator: " × ") }
}
