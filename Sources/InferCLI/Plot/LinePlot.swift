import Foundation

/// Panels one below another, each with lines through measured points.
struct LinePlot {
    struct Point: Equatable {
        let x: Double
        let median: Double
        let smallest: Double
        let largest: Double
        /// Written beside the point.
        var label = ""
    }

    /// The points of one line, in the order of x.
    struct Line: Equatable {
        let label: String
        var points: [Point]
    }

    struct Panel: Equatable {
        let title: String
        var lines: [Line]
        /// What the horizontal axis counts.
        let axis: String
        /// The horizontal axis begins with the smallest x; otherwise with 0.
        var startsAtPoints = false
        /// Powers of ten are equally far apart; values have to be above 0.
        var isLogarithmic = false
    }

    let panels: [Panel]

    private static let (width, left, right) = (720.0, 64.0, 20.0)
    private static let (plotHeight, above, below) = (220.0, 34.0, 44.0)
    private static let legendLine = 18.0

    /// The whole drawing.
    func svg() -> String {
        var body = ""
        var top = 0.0
        for panel in panels {
            body += draw(panel, top: top)
            top += Self.above + Self.plotHeight + Self.below + Self.legendLine * Double(panel.lines.count)
        }
        return SVGDrawing.document(width: Self.width, height: top, body)
    }

    private func draw(_ panel: Panel, top: Double) -> String {
        let points = panel.lines.flatMap { $0.points }
        let xs = points.map { $0.x }
        let first = panel.startsAtPoints ? xs.min() ?? 0 : 0
        let width = max((xs.max() ?? 0) - first, panel.startsAtPoints ? 1e-9 : 1)
        let ticks =
            panel.isLogarithmic
            ? Self.powers(from: points.map { $0.smallest }.min() ?? 0, to: points.map { $0.largest }.max() ?? 0)
            : Self.ticks(upTo: points.map { $0.largest }.max() ?? 0)
        let (plotTop, bottom) = (top + Self.above, top + Self.above + Self.plotHeight)
        // Room for the labels of the outermost points.
        let margin = panel.startsAtPoints ? 40.0 : 0
        let plotWidth = Self.width - Self.left - Self.right - 2 * margin
        func x(_ value: Double) -> Double { Self.left + margin + plotWidth * (value - first) / width }
        func height(_ value: Double) -> Double { panel.isLogarithmic ? log10(max(value, 1e-300)) : value }
        let (low, high) = (height(ticks.first ?? 0), height(ticks.last ?? 1))
        func y(_ value: Double) -> Double { bottom - Self.plotHeight * (height(value) - low) / (high - low) }

        var svg = SVGDrawing.text(panel.title, Self.left, plotTop - 12, style: "class=\"title\"")
        for tick in ticks {
            svg += Self.segment((Self.left, y(tick)), (Self.width - Self.right, y(tick)), "class=\"grid\"")
            let label = panel.isLogarithmic ? String(format: "%g", tick) : SVGDrawing.number(tick)
            svg += SVGDrawing.text(label, Self.left - 8, y(tick) + 4, style: "text-anchor=\"end\"")
        }
        var lastLabel = -Double.infinity
        for value in Set(xs).sorted() where x(value) - lastLabel > 40 {
            lastLabel = x(value)
            let label = SVGDrawing.number((value * 100).rounded() / 100)
            svg += SVGDrawing.text(label, x(value), bottom + 18, style: "text-anchor=\"middle\"")
        }
        svg += SVGDrawing.text(
            panel.axis, Self.left + margin + plotWidth / 2, bottom + 36, style: "text-anchor=\"middle\"")
        for (index, line) in panel.lines.enumerated() {
            svg += draw(line, SVGDrawing.color(index), x, y, bottom: bottom)
            let row = bottom + Self.below + Self.legendLine * (Double(index) + 0.5)
            svg += Self.dot((Self.left + 4, row), radius: 4, SVGDrawing.color(index))
            svg += SVGDrawing.text(line.label, Self.left + 14, row + 4)
        }
        return svg
    }

    private func draw(
        _ line: Line, _ color: String, _ x: (Double) -> Double, _ y: (Double) -> Double, bottom: Double
    ) -> String {
        let path = line.points.map { "\(SVGDrawing.number(x($0.x))),\(SVGDrawing.number(y($0.median)))" }
        var svg = "<polyline class=\"line\" stroke=\"\(color)\" points=\"\(path.joined(separator: " "))\"/>\n"
        var labels: [(x: Double, y: Double)] = []
        for (index, point) in line.points.enumerated() {
            let place = (x(point.x), y(point.median))
            svg += Self.segment(
                (place.0, y(point.smallest)), (place.0, y(point.largest)), "class=\"spread\" stroke=\"\(color)\"")
            svg += Self.dot(place, radius: 3, color)
            guard !point.label.isEmpty else { continue }
            // On the side that the line turns away from, but not over another label nor over the axis.
            let neighbours = [index - 1, index + 1].filter(line.points.indices.contains).map {
                y(line.points[$0].median)
            }
            let (above, below) = (y(point.largest) - 8, y(point.smallest) + 16)
            let isPeak = place.1 * Double(neighbours.count) <= neighbours.reduce(0, +)
            let sides = isPeak ? [above, below] : [below, above]
            let free = sides.first { side in
                side < bottom && !labels.contains { abs($0.x - place.0) < 48 && abs($0.y - side) < 14 }
            }
            labels.append((place.0, free ?? above))
            svg += SVGDrawing.text(point.label, place.0, free ?? above, style: "text-anchor=\"middle\"")
        }
        return svg
    }

    private static func segment(_ from: (Double, Double), _ to: (Double, Double), _ style: String) -> String {
        let n = SVGDrawing.number
        return "<line \(style) x1=\"\(n(from.0))\" x2=\"\(n(to.0))\" y1=\"\(n(from.1))\" y2=\"\(n(to.1))\"/>\n"
    }

    private static func dot(_ place: (Double, Double), radius: Double, _ color: String) -> String {
        let n = SVGDrawing.number
        return "<circle fill=\"\(color)\" r=\"\(n(radius))\" cx=\"\(n(place.0))\" cy=\"\(n(place.1))\"/>\n"
    }

    // MARK: Ticks

    /// 0 and some round numbers, the last of which is not below `highest`.
    static func ticks(upTo highest: Double) -> [Double] {
        guard highest > 0, highest.isFinite else { return [0, 1] }
        let rough = highest / 5
        let power = pow(10, log10(rough).rounded(.down))
        let step = power * ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10)
        return (0...Int((highest / step - 1e-9).rounded(.up))).map { Double($0) * step }
    }

    /// The powers of ten around two values, at least two of them.
    static func powers(from lowest: Double, to highest: Double) -> [Double] {
        guard lowest > 1e-300, highest < 1e300, lowest <= highest else { return [0.1, 1] }
        let low = Int(log10(lowest).rounded(.down))
        let high = max(low + 1, Int(log10(highest).rounded(.up)))
        return (low...high).map { pow(10, Double($0)) }
    }
}
