#include "tool_svg_page.h"

void sl_page_text(FILE *out, const char *text)
{
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '<')
            (void)fputs("&lt;", out);
        else if (c == '&')
            (void)fputs("&amp;", out);
        else if (c >= 0x20)
            (void)fputc(c, out);
    }
}

void sl_page_begin(FILE *out, int height, const char *title)
{
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"-apple-system, 'Segoe UI', "
                  "Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"12\" "
                  "fill=\"" SL_MUTED "\">\n<title>",
                  SL_PAGE_WIDTH, height, SL_PAGE_WIDTH, height);
    sl_page_text(out, title);
    (void)fprintf(out,
                  "</title>\n<rect x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\" "
                  "fill=\"#ffffff\" stroke=\"#e3e6ea\"/>\n<text x=\"28\" y=\"40\" "
                  "font-size=\"20\" font-weight=\"600\" fill=\"" SL_INK "\">",
                  SL_PAGE_WIDTH - 1, height - 1);
    sl_page_text(out, title);
    (void)fputs("</text>\n<text x=\"28\" y=\"63\" font-size=\"13\">", out);
}
