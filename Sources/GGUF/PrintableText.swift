extension String {
    /// The text on one line with control, format and other invisible characters escaped, so that a name in a file
    /// cannot steer the terminal that shows it. After `limit` characters it is cut, which "…" shows.
    package func printable(limit: Int = .max) -> String {
        var result = ""
        for (position, scalar) in unicodeScalars.enumerated() {
            guard position < limit else { return result + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                result += scalar.escaped(asASCII: true)
            default:
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
