/// Values of rows and columns as shades of one color.
struct HeatMap {
    struct Panel: Equatable {
        let title: String
        /// Names of the rows, as many as there are rows of values.
        let rows: [String]
        /// [rows][columns], from 0 to `full`; what is beyond is as dark.
        let values: [[Double]]
        /// The value of the full color.
        let full: Double
        let rowAxis: String
        let columnAxis: String
        /// What full color means.
        let legend: String
        /// The number of the first column.
        var firstColumn = 0
    }

    let panels: [Panel]

    private static let (width, left, right) = (720.0, 64.0, 20.0)
    private static let (above, below) = (34.0, 66.0)

    /// The whole drawing.
    func svg() -> String {
        var body = ""
        var top = 0.0
        for panel in panels {
            body += draw(panel, top: top)
            top += Self.above + Self.cellHeight(panel) * Double(panel.rows.count) + Self.below
        }
        return SVGDrawing.document(width: Self.width, height: top, body)
    }

    private static func cellHeight(_ panel: Panel) -> Double { min(18, max(6, 500 / Double(max(1, panel.rows.count)))) }

    private func draw(_ panel: Panel, top: Double) -> String {
        let n = SVGDrawing.number
        let columns = panel.values.map { $0.count }.max() ?? 0
        let cell = (
            width: (Self.width - Self.left - Self.right) / Double(max(1, columns)), height: Self.cellHeight(panel)
        )
        let (plotTop, bottom) = (top + Self.above, top + Self.above + cell.height * Double(panel.rows.count))
        var svg = SVGDrawing.text(panel.title, Self.left, plotTop - 12, style: "class=\"title\"")
        for (row, values) in panel.values.enumerated() {
            let y = plotTop + cell.height * Double(row)
            for (column, value) in values.enumerated() {
                let shade = panel.full > 0 ? min(1, max(0, value / panel.full)) : 0
                svg += "<rect fill=\"\(SVGDrawing.color(0))\" fill-opacity=\"\(n(shade))\""
                svg += " x=\"\(n(Self.left + cell.width * Double(column)))\" y=\"\(n(y))\""
                svg += " width=\"\(n(cell.width))\" height=\"\(n(cell.height))\"/>\n"
            }
        }
        // As many names as have room.
        for row in stride(from: 0, to: panel.rows.count, by: max(1, Int((14 / cell.height).rounded(.up)))) {
            let y = plotTop + cell.height * (Double(row) + 0.5) + 4
            svg += SVGDrawing.text(panel.rows[row], Self.left - 8, y, style: "text-anchor=\"end\"")
        }
        for column in stride(from: 0, to: columns, by: max(1, Int((40 / cell.width).rounded(.up)))) {
            let x = Self.left + cell.width * (Double(column) + 0.5)
            svg += SVGDrawing.text(
                String(column + panel.firstColumn), x, bottom + 16, style: "text-anchor=\"middle\"")
        }
        svg += SVGDrawing.text(panel.rowAxis, 8, plotTop - 12)
        svg += SVGDrawing.text(
            panel.columnAxis, (Self.left + Self.width - Self.right) / 2, bottom + 34, style: "text-anchor=\"middle\"")
        svg += "<rect fill=\"\(SVGDrawing.color(0))\" x=\"\(n(Self.left))\" y=\"\(n(bottom + 42))\""
        svg += " width=\"12\" height=\"12\"/>\n"
        return svg + SVGDrawing.text(panel.legend, Self.left + 18, bottom + 52)
    }
}
