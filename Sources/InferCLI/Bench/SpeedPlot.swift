import Foundation

/// Speed against context depth as an SVG drawing: one panel per kind of test, one line per setting.
///
/// Readable on light and dark pages: the colors follow the reader's preference.
struct SpeedPlot {
    /// The points of one line, shallowest first.
    struct Line: Equatable {
        let label: String
        var points: [Point]
    }

    struct Point: Equatable {
        let depth: Int
        let median: Double
        let smallest: Double
        let largest: Double
    }

    /// Tests that differ in depth only share a panel.
    struct Panel: Equatable {
        let title: String
        var lines: [Line]
    }

    let panels: [Panel]

    init(_ rows: [BenchRow]) {
        var panels: [Panel] = []
        for row in rows {
            var test = row.test
            test.depth = 0
            let panel = panels.firstIndex { $0.title == test.name } ?? panels.endIndex
            if panel == panels.endIndex { panels.append(Panel(title: test.name, lines: [])) }
            let label = Self.label(row.setting)
            let lines = panels[panel].lines
            let line = lines.firstIndex { $0.label == label } ?? lines.endIndex
            if line == lines.endIndex { panels[panel].lines.append(Line(label: label, points: [])) }
            let speed = row.tokensPerSecond
            panels[panel].lines[line].points.append(
                Point(
                    depth: row.test.depth, median: speed.median, smallest: speed.smallest, largest: speed.largest))
            panels[panel].lines[line].points.sort { $0.depth < $1.depth }
        }
        self.panels = panels
    }

    private static func label(_ setting: BenchRow.Setting) -> String {
        let threads = setting.threads == 1 ? "1 thread" : "\(setting.threads) threads"
        let cache =
            setting.cacheTypeK == setting.cacheTypeV
            ? setting.cacheTypeK : "\(setting.cacheTypeK)/\(setting.cacheTypeV)"
        return "\(setting.model) \(setting.format), \(threads), \(setting.isa), cache \(cache)"
    }

    // MARK: Drawing

    private static let (width, left, right) = (720.0, 64.0, 20.0)
    private static let (plotHeight, above, below) = (220.0, 34.0, 44.0)
    private static let legendLine = 18.0
    private static let colors = 6

    /// The whole drawing, a document of its own.
    func svg() -> String {
        var body = ""
        var top = 0.0
        for panel in panels {
            body += draw(panel, top: top)
            top += Self.above + Self.plotHeight + Self.below + Self.legendLine * Double(panel.lines.count)
        }
        let size = "\(Self.number(Self.width)) \(Self.number(max(top, 1)))"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(size)" font-family="sans-serif" font-size="12">
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

    private func draw(_ panel: Panel, top: Double) -> String {
        let points = panel.lines.flatMap { $0.points }
        let deepest = Double(max(points.map { $0.depth }.max() ?? 0, 1))
        let ticks = Self.ticks(upTo: points.map { $0.largest }.max() ?? 0)
        let highest = ticks.last ?? 1
        let (plotTop, bottom) = (top + Self.above, top + Self.above + Self.plotHeight)
        let plotWidth = Self.width - Self.left - Self.right
        func x(_ depth: Int) -> String { Self.number(Self.left + plotWidth * Double(depth) / deepest) }
        func y(_ speed: Double) -> String { Self.number(bottom - Self.plotHeight * speed / highest) }

        var svg = Self.text(panel.title + ", tokens per second", Self.left, plotTop - 12, style: "class=\"title\"")
        for tick in ticks {
            svg +=
                "<line class=\"grid\" x1=\"\(Self.number(Self.left))\" x2=\"\(Self.number(Self.width - Self.right))\""
            svg += " y1=\"\(y(tick))\" y2=\"\(y(tick))\"/>\n"
            svg += Self.text(Self.number(tick), Self.left - 8, (Double(y(tick)) ?? 0) + 4, style: "text-anchor=\"end\"")
        }
        var lastLabel = -Double.infinity
        for depth in Set(points.map { $0.depth }).sorted() {
            let place = Double(x(depth)) ?? 0
            guard place - lastLabel > 40 else { continue }
            lastLabel = place
            svg += Self.text(String(depth), place, bottom + 18, style: "text-anchor=\"middle\"")
        }
        svg += Self.text(
            "tokens in the context before", Self.left + plotWidth / 2, bottom + 36, style: "text-anchor=\"middle\"")
        for (index, line) in panel.lines.enumerated() {
            let color = "var(--c\(index % Self.colors))"
            let path = line.points.map { "\(x($0.depth)),\(y($0.median))" }.joined(separator: " ")
            svg += "<polyline class=\"line\" stroke=\"\(color)\" points=\"\(path)\"/>\n"
            for point in line.points {
                svg += "<line class=\"spread\" stroke=\"\(color)\" x1=\"\(x(point.depth))\" x2=\"\(x(point.depth))\""
                svg += " y1=\"\(y(point.smallest))\" y2=\"\(y(point.largest))\"/>\n"
                svg += "<circle fill=\"\(color)\" r=\"3\" cx=\"\(x(point.depth))\" cy=\"\(y(point.median))\"/>\n"
            }
            let row = bottom + Self.below + Self.legendLine * (Double(index) + 0.5)
            svg +=
                "<circle fill=\"\(color)\" r=\"4\" cx=\"\(Self.number(Self.left + 4))\" cy=\"\(Self.number(row))\"/>\n"
            svg += Self.text(line.label, Self.left + 14, row + 4)
        }
        return svg
    }

    /// 0 and some round numbers, the last of which is not below `highest`.
    static func ticks(upTo highest: Double) -> [Double] {
        guard highest > 0, highest.isFinite else { return [0, 1] }
        let rough = highest / 5
        let power = pow(10, log10(rough).rounded(.down))
        let step = power * ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10)
        return (0...Int((highest / step - 1e-9).rounded(.up))).map { Double($0) * step }
    }

    private static func text(_ text: String, _ x: Double, _ y: Double, style: String = "") -> String {
        let attributes = style.isEmpty ? "" : " " + style
        return "<text x=\"\(number(x))\" y=\"\(number(y))\"\(attributes)>\(escaped(text))</text>\n"
    }

    /// Model names come from files: markup in them is text, and characters that XML does not allow are left out.
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
    private static func number(_ value: Double) -> String {
        let rounded = (value * 1000).rounded() / 1000
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int(rounded)) : String(rounded)
    }
}
