import Testing

@testable import ChatTemplates

struct JSONTests {
    @Test(arguments: [
        #"{"b":1,"a":[true,false,null],"":{}}"#, #"[]"#, #""é🦙\u0001\"\\\n""#, "-0.5", "1e-07", "1e+16",
        "123456789.125",
        "12345678901234567890", "-98765432109876543210", "-9223372036854775808", "0", "[[[[1]]],2]",
    ])
    func textSurvivesParsingAndPrinting(_ text: String) throws {
        #expect(try JSONValue(parsing: text).text().sameCodePoints(as: text))
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "01", "1.", ".5", "+1", "1e", "nul", "[1 2]", "1 1",
        "\"\n\"",
        "\"\\x\"", "\"\\u12\"", "\"abc", "{\"a\"}", "{\"a\":}", "NaN", "Infinity", "1e999", "--1", "[1", "\u{FEFF}1",
        "\u{A0}1", "{\"a\":1 \"b\":2}", "// c\n1",
    ])
    func notJSON(_ text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }

    @Test func keepsIntegersApartFromFloatingPoint() throws {
        guard case .int(1) = try JSONValue(parsing: "1"), case .double(1) = try JSONValue(parsing: "1.0"),
            case .bigInt("9223372036854775808") = try JSONValue(parsing: "9223372036854775808")
        else {
            Issue.record("kinds of numbers are mixed up")
            return
        }
        #expect(JSONValue.int(1) == .double(1))
        #expect(JSONValue.int(1) != .double(1.5))
        #expect(JSONValue.int(9_007_199_254_740_993) != .double(9_007_199_254_740_992))
        #expect(JSONValue.bool(true) != .int(1))
    }

    @Test func keepsKeyOrderAndTheLastOfRepeatedKeys() throws {
        let value = try JSONValue(parsing: #"{"z":1,"a":2,"z":3}"#)
        #expect(value.text() == #"{"z":3,"a":2}"#)
        let many = try JSONValue(parsing: "{" + (0..<50).map { "\"k\($0 % 30)\":\($0)" }.joined(separator: ",") + "}")
        #expect(many.objectValue?.keys.count == 30)
        #expect(many["k0"] == 30)
        #expect(many["k29"] == 29)
        #expect(many["k30"] == nil)
    }

    @Test func removingAKeyKeepsTheOthers() {
        var object = JSONObject((0..<12).map { ("k\($0)", JSONValue.int($0)) })
        object["k3"] = nil
        object["k0"] = nil
        #expect(object.count == 10)
        #expect(object["k3"] == nil)
        #expect(object["k11"] == 11)
        #expect(object.keys.first == "k1")
    }

    @Test func composedAndDecomposedKeysDiffer() throws {
        let value = try JSONValue(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(value["\u{E9}"] == 1)
        #expect(value["e\u{301}"] == 2)
        #expect(JSONValue.string("\u{E9}") != JSONValue.string("e\u{301}"))
    }

    @Test func surrogates() throws {
        #expect(try JSONValue(parsing: #""\ud83e\udd99""#) == "🦙")
        #expect(try JSONValue(parsing: #""\ud83e""#) == "\u{FFFD}")
        #expect(try JSONValue(parsing: #""\udd99x""#) == "\u{FFFD}x")
        #expect(try JSONValue(parsing: #""\ud83e\u0041""#) == "\u{FFFD}A")
    }

    @Test func refusesInvalidUTF8AndDepth() throws {
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xC0, 0x80, 0x22]) }
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError.self) { try JSONValue(parsing: deep) }
        let nested = String(repeating: "[", count: 256) + String(repeating: "]", count: 256)
        #expect(try JSONValue(parsing: nested).text() == nested)
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested, maximumDepth: 255) }
    }

    @Test func tellsWhereTheFaultIs() {
        #expect(throws: JSONError(message: "expected ',' or ']'", offset: 6)) { try JSONValue(parsing: "[\"é\" 1") }
    }

    @Test func styles() throws {
        let value = try JSONValue(parsing: #"{"b":[1,{}],"a":"é"}"#)
        #expect(value.text(.spaced) == #"{"b": [1, {}], "a": "é"}"#)
        var style = JSONStyle.spaced
        style.indent = "  "
        style.itemSeparator = ","
        style.sortedKeys = true
        style.asciiOnly = true
        #expect(value.text(style) == "{\n  \"a\": \"\\u00e9\",\n  \"b\": [\n    1,\n    {}\n  ]\n}")
    }

    /// Expected texts from Python's `repr`.
    @Test(arguments: [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (0.1, "0.1"), (1e15, "1000000000000000.0"), (1e16, "1e+16"),
        (1.5e16, "1.5e+16"), (123456789012345680.0, "1.2345678901234568e+17"), (0.0001, "0.0001"), (0.00001, "1e-05"),
        (1.5e-5, "1.5e-05"), (.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (-2.5, "-2.5"),
        (9007199254740993.0, "9007199254740992.0"), (100.0, "100.0"), (1e22, "1e+22"),
        (0.30000000000000004, "0.30000000000000004"),
    ])
    func floatsAsPythonWritesThem(_ value: Double, _ text: String) {
        #expect(pythonFloatText(value) == text)
    }
}
