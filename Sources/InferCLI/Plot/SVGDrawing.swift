import Foundation

/// What all drawings share: the page, its colors, text and numbers.
///
/// Readable on light and dark pages: the colors follow the reader's preference.
enum SVGDrawing {
    /// Colors that `color` goes through.
    private static let colors = 6

    static func color(_ index: Int) -> String { "var(--c\(index % colors))" }

    /// A document of its own.
    static func document(width: Double, height: Double, _ body: String) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(width)) \(number(max(height, 1)))" \
        font-family="sans-serif" font-size="12">
        <style>
        :root { --page: #ffffff; --text: #24292f; --grid: #d0d7de; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37;
          --c3: #8250df; --c4: #cf222e; --c5: #6e7781; }
        @media (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --grid: #30363d;
          --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #ff7b72; --c5: #8b949e; } }
        .page { fill: var(--page); } text { fill: var(--text); } .grid { stroke: var(--grid); }
        .title { font-size: 14px; font-weight: bold; }
        .line { fill: none; stroke-width: 2; } .spread { stroke-width: 1; }
        </style>
        <rect class="page" width="100%" height="100%"/>
        \(body)</svg>

        """
    }

    static func text(_ text: String, _ x: Double, _ y: Double, style: String = "") -> String {
        let attributes = style.isEmpty ? "" : " " + style
        return "<text x=\"\(number(x))\" y=\"\(number(y))\"\(attributes)>\(escaped(text))</text>\n"
    }

    /// Names come from files: markup in them is text, and characters that XML does not allow are left out.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\u{20}"..."\u{7E}", "\u{A0}"..."\u{D7FF}", "\u{E000}"..."\u{FFFD}", "\u{10000}"...:
                result.unicodeScalars.append(scalar)
            default: break
            }
        }
        return result
    }

    /// Short and the same in every locale.
    static func number(_ value: Double) -> String {
        let rounded = (value * 1000).rounded() / 1000
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int(rounded)) : String(rounded)
    }
}
