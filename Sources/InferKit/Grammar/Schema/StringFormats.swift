/// The values of `format` that are enforced, as regular expressions.
enum StringFormats {
    private static let date =
        "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
        + "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
        // Leap days.
        + "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
    private static let time =
        "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    private static let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    private static let ipv4 = "(?:\(byte)\\.){3}\(byte)"
    private static let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    private static let group = "[0-9A-Fa-f]{1,4}"

    /// RFC 4291, section 2.2: at most one `::`, which stands for at least one group.
    private static let ipv6: String = {
        var forms = ["(?:\(group):){7}\(group)", "(?:\(group):){6}\(ipv4)"]
        for before in 0...7 {
            let head = before == 0 ? "" : "\(group)(?::\(group)){\(before - 1)}"
            let after = 7 - before
            forms.append("\(head)::" + (after == 0 ? "" : "(?:\(group)(?::\(group)){0,\(after - 1)})?"))
            if after >= 2 { forms.append("\(head)::(?:\(group):){0,\(after - 2)}\(ipv4)") }
        }
        return forms.joined(separator: "|")
    }()

    /// RFC 3986, generic syntax with a scheme; the host is not looked into.
    private static func uri(scheme: String) -> String {
        let plain = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
        let authority = "(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*"
        return "\(scheme)(?://(?:\(authority)@)?\(authority)(?:/\(plain)*)*|/?(?:\(plain)+(?:/\(plain)*)*)?)"
            + "(?:\\?(?:\(plain)|[/?])*)?(?:#(?:\(plain)|[/?])*)?"
    }

    private static let expressions: [String: String] = [
        "date": date,
        "time": time,
        "date-time": "\(date)[Tt]\(time)",
        // RFC 3339, appendix A.
        "duration": "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
            + "(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?"
            + "|T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))",
        "uuid": "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
        "email": "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@\(label)(?:\\.\(label))*",
        "hostname": "\(label)(?:\\.\(label))*",
        "ipv4": ipv4,
        "ipv6": ipv6,
        "uri": uri(scheme: "[A-Za-z][A-Za-z0-9+.-]*:"),
        "uri-reference": uri(scheme: "(?:[A-Za-z][A-Za-z0-9+.-]*:)?"),
    ]

    /// Formats of the standard that are not enforced, so that a schema with one is refused. Any other word is an
    /// annotation, as the standard says.
    static let unsupported: Set<String> = [
        "idn-email", "idn-hostname", "iri", "iri-reference", "uri-template", "json-pointer", "relative-json-pointer",
        "regex",
    ]

    /// nil: not a format that is enforced.
    static func automaton(_ name: String) throws(RegularExpression.Failure) -> ScalarAutomaton? {
        guard let expression = expressions[name] else { return nil }
        return try RegularExpression.automaton(for: "^(?:\(expression))$")
    }
}
