import ChatTemplates

/// Reads the keywords of JSON Schema (draft 2020-12 and what older drafts call differently) into shapes.
///
/// Nothing is passed over: a keyword is enforced, or an annotation, or an error that names it.
struct SchemaReader {
    private(set) var document: SchemaDocument
    private var shapes: [Int: [SchemaShape]] = [:]
    /// Schemas that are being read, so that one that refers to itself is noticed.
    private var open: [Int] = []
    private var work = 0

    private static let mostShapes = 512

    init(_ document: SchemaDocument) { self.document = document }

    /// Keywords without a say in what is valid. `x-…` is for everyone's own use.
    private static let annotations: Set<String> = [
        "$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor", "$vocabulary", "title", "description",
        "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding",
        "contentSchema", "discriminator", "externalDocs", "xml",
    ]
    private static let types = ["null", "boolean", "integer", "number", "string", "array", "object"]
    private static let typeOfKeyword = SchemaKeywords.typeOfKeyword

    // MARK: Goals

    /// What may be written where all schemas of a goal hold.
    mutating func shapes(of goal: SchemaGoal) throws(GrammarError) -> [SchemaShape] {
        var result = [SchemaShape.anything]
        for schema in goal { result = try intersections(result, try shapes(ofSchema: schema)) }
        return result
    }

    /// The schemas that references name, all of which hold.
    mutating func goal(_ references: [String]) throws(GrammarError) -> SchemaGoal {
        var goal: SchemaGoal = []
        for reference in references { goal = union(goal, [try document.number(ofReference: reference, at: "")]) }
        return goal
    }

    mutating func number(of value: JSONValue, at path: String) throws(GrammarError) -> Int {
        try document.number(of: value, at: path)
    }

    private mutating func intersections(
        _ left: [SchemaShape], _ right: [SchemaShape]
    ) throws(GrammarError) -> [SchemaShape] {
        work += left.count * right.count
        guard left.count * right.count <= Self.mostShapes * 8, work <= 200_000 else {
            throw .tooComplex("combinations of alternatives")
        }
        var result: [SchemaShape] = []
        for a in left {
            for b in right {
                let both = try a.intersection(b)
                if !both.isNothing { result.append(both) }
            }
        }
        guard result.count <= Self.mostShapes else { throw .tooComplex("more than \(Self.mostShapes) alternatives") }
        return result
    }

    private mutating func shapes(ofSchema schema: Int) throws(GrammarError) -> [SchemaShape] {
        if let known = shapes[schema] { return known }
        let (value, path) = document.schemas[schema]
        guard !open.contains(schema) else {
            throw .invalidSchema(message: "the schema refers to itself without anything between", path: path)
        }
        guard open.count < GrammarLimits.nesting else { throw .tooComplex("schemas nested this deep") }
        open.append(schema)
        defer { open.removeLast() }
        let result: [SchemaShape]
        switch value {
        case .bool(let isAllowed): result = isAllowed ? [.anything] : []
        case .object(let keywords): result = try read(keywords, schema, path)
        default: throw .invalidSchema(message: "a schema must be an object or a boolean", path: path)
        }
        shapes[schema] = result
        return result
    }

    // MARK: One schema

    private mutating func read(
        _ keywords: JSONObject, _ schema: Int, _ path: String
    ) throws(GrammarError) -> [SchemaShape] {
        var shape = SchemaShape.anything
        if let type = keywords["type"] {
            try restrict(&shape, to: type, path)
        } else if keywords["enum"] == nil, keywords["const"] == nil {
            let implied = Set(keywords.keys.compactMap { Self.typeOfKeyword[$0] })
            if implied.count == 1, let type = implied.first { try restrict(&shape, to: .string(type), path) }
        }
        let reader = KeywordReader(path: path)
        try reader.readNumbers(keywords, &shape)
        try reader.readStrings(keywords, &shape)
        try readArrays(keywords, reader, &shape)
        try readObjects(keywords, reader, schema, &shape)
        var result = [shape]
        for (keyword, value) in keywords.members {
            let place = path + "/" + SchemaDocument.escaped(keyword)
            switch keyword {
            case "$ref":
                guard let reference = value.stringValue else {
                    throw .invalidSchema(message: "$ref must be a string", path: place)
                }
                let target = try document.number(ofReference: reference, at: place)
                result = try intersections(result, try shapes(ofSchema: target))
            case "allOf":
                for branch in try branches(value, place) {
                    result = try intersections(result, try shapes(ofSchema: branch))
                }
            case "anyOf", "oneOf":
                var alternatives: [SchemaShape] = []
                let numbers = try branches(value, place)
                for branch in numbers { alternatives += try shapes(ofSchema: branch) }
                guard alternatives.count <= Self.mostShapes else {
                    throw .tooComplex("more than \(Self.mostShapes) alternatives")
                }
                if keyword == "oneOf" { try checkDisjoint(numbers, place) }
                result = try intersections(result, alternatives)
            case "enum":
                guard let values = value.arrayValue else {
                    throw .invalidSchema(message: "enum must be an array", path: place)
                }
                result = try intersections(result, try literals(values, place))
            case "const": result = try intersections(result, try literals([value], place))
            case "not": for index in result.indices { try exclude(value, from: &result[index], place) }
            case "type": break
            default:
                guard
                    Self.typeOfKeyword[keyword] != nil || Self.annotations.contains(keyword) || keyword.hasPrefix("x-")
                else { throw .unsupportedKeyword(keyword, path: place) }
            }
        }
        return result.filter { !$0.isNothing }
    }

    private mutating func branches(_ value: JSONValue, _ path: String) throws(GrammarError) -> [Int] {
        guard let branches = value.arrayValue, !branches.isEmpty else {
            throw .invalidSchema(message: "expected a list of schemas", path: path)
        }
        var numbers: [Int] = []
        for (place, branch) in branches.enumerated() {
            numbers.append(try document.number(of: branch, at: "\(path)/\(place)"))
        }
        return numbers
    }

    private func restrict(_ shape: inout SchemaShape, to type: JSONValue, _ path: String) throws(GrammarError) {
        let names = type.arrayValue?.map(\.stringValue) ?? [type.stringValue]
        var allowed = SchemaShape.nothing
        for name in names {
            switch name {
            case "null": allowed.null = true
            case "boolean": allowed.booleans = [false, true]
            case "number": allowed.number = NumberShape()
            case "integer": if allowed.number == nil { allowed.number = NumberShape(grid: .integers) }
            case "string": allowed.string = StringShape()
            case "array": allowed.array = ArrayShape()
            case "object": allowed.object = ObjectShape()
            default:
                throw .invalidSchema(
                    message: "type must be one or more of \(Self.types.joined(separator: ", "))", path: path + "/type")
            }
        }
        shape = try shape.intersection(allowed)
    }

    // MARK: Values

    /// Shapes of exactly these values.
    private mutating func literals(_ values: [JSONValue], _ path: String) throws(GrammarError) -> [SchemaShape] {
        var scalars = SchemaShape.nothing
        var texts: [String] = []
        var numbers: [DecimalNumber] = []
        var result: [SchemaShape] = []
        for (place, value) in values.enumerated() {
            let own = "\(path)/\(place)="
            switch value {
            case .null: scalars.null = true
            case .bool(let value): scalars.booleans.insert(value)
            case .string(let text): texts.append(text)
            case .int, .bigInt, .double:
                guard let number = DecimalNumber(value) else {
                    throw .unsupportedKeyword("a number of this size", path: path)
                }
                numbers.append(number)
            case .array(let elements):
                var shape = ArrayShape(minimum: elements.count, maximum: elements.count)
                for (index, element) in elements.enumerated() {
                    shape.prefix.append([try constant(element, at: "\(own)/\(index)")])
                }
                var alternative = SchemaShape.nothing
                alternative.array = shape
                result.append(alternative)
            case .object(let object):
                var part = ObjectShape.Part(schema: try document.number(of: ["const": value], at: own))
                for (key, member) in object.members {
                    let number = try constant(member, at: "\(own)/\(SchemaDocument.escaped(key))")
                    part.add(key, number)
                }
                part.additional = try document.number(of: false, at: "\(own)none")
                var alternative = SchemaShape.nothing
                alternative.object = ObjectShape(parts: [part], required: object.keys)
                result.append(alternative)
            }
            guard result.count <= Self.mostShapes else {
                throw .tooComplex("more than \(Self.mostShapes) alternatives")
            }
        }
        guard texts.reduce(0, { $0 + $1.utf8.count }) <= GrammarLimits.sourceBytes else {
            throw .tooComplex("strings of more than \(GrammarLimits.sourceBytes) bytes in one list")
        }
        if !texts.isEmpty {
            scalars.string = StringShape(parts: [("values \(path)", ScalarAutomaton(texts: texts))])
        }
        if !numbers.isEmpty { scalars.number = NumberShape(allowed: numbers) }
        return scalars.isNothing ? result : [scalars] + result
    }

    private mutating func constant(_ value: JSONValue, at path: String) throws(GrammarError) -> Int {
        try document.number(of: .object(JSONObject([("const", value)])), at: path)
    }

    /// `not` with values or types; anything else has no grammar in general.
    private func exclude(_ value: JSONValue, from shape: inout SchemaShape, _ path: String) throws(GrammarError) {
        guard let keywords = value.objectValue, let keyword = keywords.keys.first, keywords.count == 1 else {
            throw .unsupportedKeyword("not with anything but enum, const or type", path: path)
        }
        switch keyword {
        case "type":
            var excluded = SchemaShape.anything
            try restrict(&excluded, to: keywords["type"] ?? .null, path)
            if excluded.null { shape.null = false }
            shape.booleans.subtract(excluded.booleans)
            if let number = excluded.number {
                guard number.grid == nil || shape.number == nil else {
                    throw .unsupportedKeyword("not with the type integer", path: path)
                }
                shape.number = nil
            }
            if excluded.string != nil { shape.string = nil }
            if excluded.array != nil { shape.array = nil }
            if excluded.object != nil { shape.object = nil }
        case "enum", "const":
            let values = keyword == "const" ? keywords.values : keywords.values.first?.arrayValue ?? []
            var texts: [String] = []
            for value in values {
                switch value {
                case .null: shape.null = false
                case .bool(let value): shape.booleans.remove(value)
                case .string(let text): texts.append(text)
                case .int, .bigInt, .double:
                    guard let number = DecimalNumber(value) else {
                        throw .unsupportedKeyword("a number of this size", path: path)
                    }
                    shape.number?.excluded.append(number)
                case .array:
                    if shape.array != nil { throw .unsupportedKeyword("not with an array", path: path) }
                case .object:
                    if shape.object != nil { throw .unsupportedKeyword("not with an object", path: path) }
                }
            }
            if !texts.isEmpty {
                shape.string?.parts.append(("not \(path)", ScalarAutomaton(texts: texts).complement))
            }
        default: throw .unsupportedKeyword("not with \(keyword)", path: path)
        }
    }

    // MARK: Arrays and objects

    private mutating func readArrays(
        _ keywords: JSONObject, _ reader: KeywordReader, _ shape: inout SchemaShape
    ) throws(GrammarError) {
        guard var array = shape.array else { return }
        let path = reader.path
        array.minimum = try reader.count("minItems", keywords) ?? 0
        array.maximum = try reader.count("maxItems", keywords)
        if let unique = keywords["uniqueItems"], unique != false {
            throw .unsupportedKeyword("uniqueItems", path: path + "/uniqueItems")
        }
        var restKeyword = "items"
        var prefix = keywords["prefixItems"].map { ($0, "prefixItems") }
        if let items = keywords["items"], items.arrayValue != nil {
            // Drafts before 2020-12: a list here, and additionalItems for the rest.
            prefix = (items, "items")
            restKeyword = "additionalItems"
        }
        if let (value, keyword) = prefix {
            for schema in try branches(value, "\(path)/\(keyword)") { array.prefix.append([schema]) }
        }
        if let rest = keywords[restKeyword] {
            array.rest = [try document.number(of: rest, at: "\(path)/\(restKeyword)")]
        }
        shape.array = array
    }

    private mutating func readObjects(
        _ keywords: JSONObject, _ reader: KeywordReader, _ schema: Int, _ shape: inout SchemaShape
    ) throws(GrammarError) {
        guard var object = shape.object else { return }
        let path = reader.path
        object.minimum = try reader.count("minProperties", keywords) ?? 0
        object.maximum = try reader.count("maxProperties", keywords)
        if let required = keywords["required"] {
            guard let names = required.arrayValue?.compactMap(\.stringValue), names.count == required.arrayValue?.count
            else { throw .invalidSchema(message: "required must be a list of names", path: path + "/required") }
            object.required = names
        }
        var part = ObjectShape.Part(schema: schema)
        for (name, value) in try members("properties", keywords, path) {
            part.add(name, try document.number(of: value, at: "\(path)/properties/\(SchemaDocument.escaped(name))"))
        }
        for (pattern, value) in try members("patternProperties", keywords, path) {
            let place = "\(path)/patternProperties/\(SchemaDocument.escaped(pattern))"
            part.patterns.append(
                (try reader.automaton(pattern: pattern, place), try document.number(of: value, at: place)))
        }
        if let additional = keywords["additionalProperties"] {
            part.additional = try document.number(of: additional, at: path + "/additionalProperties")
        }
        if !part.properties.isEmpty || !part.patterns.isEmpty || part.additional != nil { object.parts = [part] }
        if let names = keywords["propertyNames"] {
            let schema = try document.number(of: names, at: path + "/propertyNames")
            let strings = try shapes(ofSchema: schema).compactMap(\.string)
            guard strings.count <= 1 else {
                throw .unsupportedKeyword("propertyNames with alternatives", path: path + "/propertyNames")
            }
            object.names = strings.first ?? StringShape(minimum: 1, maximum: 0)
        }
        shape.object = object
    }

    private func members(
        _ keyword: String, _ keywords: JSONObject, _ path: String
    ) throws(GrammarError) -> Zip2Sequence<[String], [JSONValue]> {
        guard let value = keywords[keyword] else { return JSONObject().members }
        guard let object = value.objectValue else {
            throw .invalidSchema(message: "\(keyword) must be an object", path: "\(path)/\(keyword)")
        }
        return object.members
    }
}

extension ObjectShape.Part {
    mutating func add(_ name: String, _ schema: Int) {
        placeOf[CodePoints(name)] = properties.count
        properties.append((name, schema))
    }
}
