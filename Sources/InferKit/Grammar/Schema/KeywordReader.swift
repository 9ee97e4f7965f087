import ChatTemplates

/// Reads the keywords of one schema that have plain values.
struct KeywordReader {
    let path: String

    // MARK: Numbers

    func readNumbers(_ keywords: JSONObject, _ shape: inout SchemaShape) throws(GrammarError) {
        guard var number = shape.number else { return }
        if let bound = try decimal("minimum", keywords) {
            // Draft 4 makes the bound exclusive with a boolean beside it.
            number.raiseMinimum(.init(value: bound, isExclusive: keywords["exclusiveMinimum"] == true))
        }
        if let bound = try decimal("maximum", keywords) {
            number.lowerMaximum(.init(value: bound, isExclusive: keywords["exclusiveMaximum"] == true))
        }
        if keywords["exclusiveMinimum"]?.boolValue == nil, let bound = try decimal("exclusiveMinimum", keywords) {
            number.raiseMinimum(.init(value: bound, isExclusive: true))
        }
        if keywords["exclusiveMaximum"]?.boolValue == nil, let bound = try decimal("exclusiveMaximum", keywords) {
            number.lowerMaximum(.init(value: bound, isExclusive: true))
        }
        if let factor = try decimal("multipleOf", keywords) {
            let place = path + "/multipleOf"
            guard !factor.isNegative, !factor.isZero else {
                throw .invalidSchema(message: "multipleOf must be more than zero", path: place)
            }
            guard let grid = NumberShape.Grid(multipleOf: factor),
                let both = number.grid.map({ $0.combined(grid) }) ?? grid
            else { throw .unsupportedKeyword("multipleOf \(factor.text)", path: place) }
            number.grid = both
        }
        shape.number = number
    }

    private func decimal(_ keyword: String, _ keywords: JSONObject) throws(GrammarError) -> DecimalNumber? {
        guard let value = keywords[keyword] else { return nil }
        guard let number = DecimalNumber(value) else {
            throw .invalidSchema(
                message: "\(keyword) must be a number of at most \(DecimalNumber.longest) digits",
                path: "\(path)/\(keyword)")
        }
        return number
    }

    // MARK: Strings

    func readStrings(_ keywords: JSONObject, _ shape: inout SchemaShape) throws(GrammarError) {
        guard var string = shape.string else { return }
        string.minimum = try count("minLength", keywords) ?? 0
        string.maximum = try count("maxLength", keywords)
        if let pattern = keywords["pattern"] {
            let place = path + "/pattern"
            guard let source = pattern.stringValue else {
                throw .invalidSchema(message: "pattern must be a string", path: place)
            }
            string.parts.append(("pattern \(place)", try automaton(pattern: source, place)))
        }
        if let format = keywords["format"] {
            let place = path + "/format"
            guard let name = format.stringValue else {
                throw .invalidSchema(message: "format must be a string", path: place)
            }
            guard !StringFormats.unsupported.contains(name) else {
                throw .unsupportedKeyword("format \(name)", path: place)
            }
            do {
                if let automaton = try StringFormats.automaton(name) {
                    string.parts.append(("format \(name)", automaton))
                }
            } catch {
                throw .unsupportedKeyword("format \(name)", path: place)
            }
        }
        shape.string = string
    }

    func automaton(pattern: String, _ place: String) throws(GrammarError) -> ScalarAutomaton {
        do {
            return try RegularExpression.automaton(for: pattern)
        } catch {
            throw error.isUnsupported
                ? .unsupportedKeyword("pattern with \(error.message)", path: place)
                : .invalidSchema(message: "pattern: \(error.message)", path: place)
        }
    }

    // MARK: Counts

    func count(_ keyword: String, _ keywords: JSONObject) throws(GrammarError) -> Int? {
        guard let value = keywords[keyword] else { return nil }
        let place = "\(path)/\(keyword)"
        guard let number = DecimalNumber(value), !number.isNegative, number.fraction.isEmpty else {
            throw .invalidSchema(message: "\(keyword) must be a whole number, not negative", path: place)
        }
        guard let count = Int(number.text), count <= GrammarLimits.repetition else {
            throw .unsupportedKeyword("\(keyword) of more than \(GrammarLimits.repetition)", path: place)
        }
        return count
    }
}
