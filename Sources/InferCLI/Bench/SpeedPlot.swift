/// Speed against context depth: one panel per kind of test, one line per setting.
enum SpeedPlot {
    static func plot(_ rows: [BenchRow]) -> LinePlot {
        var panels: [LinePlot.Panel] = []
        for row in rows {
            // Tests that differ in depth only share a panel.
            var test = row.test
            test.depth = 0
            let title = "\(test.name), tokens per second"
            let panel = panels.firstIndex { $0.title == title } ?? panels.endIndex
            if panel == panels.endIndex {
                panels.append(LinePlot.Panel(title: title, lines: [], axis: "tokens in the context before"))
            }
            let label = Self.label(row.setting)
            let lines = panels[panel].lines
            let line = lines.firstIndex { $0.label == label } ?? lines.endIndex
            if line == lines.endIndex { panels[panel].lines.append(LinePlot.Line(label: label, points: [])) }
            let speed = row.tokensPerSecond
            panels[panel].lines[line].points.append(
                LinePlot.Point(
                    x: Double(row.test.depth), median: speed.median, smallest: speed.smallest, largest: speed.largest))
            panels[panel].lines[line].points.sort { $0.x < $1.x }
        }
        return LinePlot(panels: panels)
    }

    private static func label(_ setting: BenchRow.Setting) -> String {
        let threads = setting.threads == 1 ? "1 thread" : "\(setting.threads) threads"
        let cache =
            setting.cacheTypeK == setting.cacheTypeV
            ? setting.cacheTypeK : "\(setting.cacheTypeK)/\(setting.cacheTypeV)"
        return "\(setting.model) \(setting.format), \(threads), \(setting.isa), cache \(cache)"
    }
}
