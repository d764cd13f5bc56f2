# SPDX-License-Identifier: Apache-2.0
#
# The whole software of a lab guest: it fills memory once, then dirties pages at a set pace.
#
# A flat image with a Multiboot header: QEMU's `-kernel` enters it in 32-bit protected mode with
# paging off, so the guest needs no disk to boot from. The caller appends the parameters (see the end).
#
# Time comes from the interval timer's interrupt; between ticks the processor halts, so an idle guest
# costs next to nothing. The interrupt never returns: it *is* the next turn of the loop, with a fresh
# stack. So no `iret` is needed, which nested KVM may not emulate in unpaged protected mode.

        .set    LOAD_ADDRESS, 0x100000          # the linker has the same
        .set    MULTIBOOT_MAGIC, 0x1BADB002
        .set    MULTIBOOT_FLAGS, 0x00010000     # the header itself tells where to load
        .set    REGION, 0x200000                # fill and working set both begin at 2 MiB
        .set    PAGE_SHIFT, 12
        .set    TIMER_VECTOR, 0x20

        .code32
        .global _start

multiboot_header:
        .long   MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
        .long   multiboot_header, LOAD_ADDRESS  # header address, load address
        .long   0, 0                            # load the whole file, no bss
        .long   _start

ready:  .long   0                               # at LOAD_ADDRESS + 32: 1 once memory is filled

_start: cli
        lgdt    gdt_pointer                     # Multiboot's own table is not ours to rely on
        ljmp    $0x08, $1f
1:      movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $stack_top, %esp

# Fill: each page begins with its number plus one, so no page is zero, none like another.
        movl    $REGION, %edi
        xorl    %eax, %eax
fill:   cmpl    fill_pages, %eax
        jae     filled
        incl    %eax
        movl    %eax, (%edi)
        addl    $1 << PAGE_SHIFT, %edi
        jmp     fill
filled: movl    $1, ready

# One interrupt gate, for the timer; the two controllers remapped, all lines but line 0 masked.
        movl    $tick, %eax
        movw    %ax, timer_gate
        shrl    $16, %eax
        movw    %ax, timer_gate + 6
        lidt    idt_pointer
        movl    $setup_ports, %esi
        movl    $(setup_ports_end - setup_ports) / 4, %ecx
        cld
ports:  lodsl                                   # low half: the port, high half: the byte to write
        movl    %eax, %edx
        shrl    $16, %eax
        outb    %al, %dx
        loop    ports
        movl    timer_divisor, %eax             # timer 0: the low byte, then the high one
        outb    %al, $0x40
        movb    %ah, %al
        outb    %al, $0x40

        xorl    %ebp, %ebp                      # the next page of the working set
        movl    $0, fraction
        movl    $segments, %ebx                 # the segment in force: { ticks, pages per tick << 16 }
        movl    (%ebx), %esi                    # ticks left of it
        jmp     rest

# Each tick: dirty as many pages as the pace says, carrying fractions of a page over.
tick:   movl    $stack_top, %esp
        movb    $0x20, %al                      # end of interrupt
        outb    %al, $0x20

        movl    4(%ebx), %ecx
        addl    fraction, %ecx
        movzwl  %cx, %eax
        movl    %eax, fraction
        shrl    $16, %ecx
        jz      paced
dirty:  movl    %ebp, %edi
        shll    $PAGE_SHIFT, %edi
        addl    $REGION, %edi
        movl    (%edi), %eax
        incl    %eax
        movl    %ecx, %edx
        movl    words_per_page, %ecx
        rep stosl
        movl    %edx, %ecx
        incl    %ebp
        cmpl    working_set_pages, %ebp
        jb      1f
        xorl    %ebp, %ebp
1:      loop    dirty

paced:  decl    %esi
        jnz     rest
        addl    $8, %ebx
        cmpl    $0, (%ebx)                      # a segment of no ticks ends the list: start over
        jne     1f
        movl    $segments, %ebx
1:      movl    (%ebx), %esi

rest:   sti
        hlt
        jmp     rest

        .macro  write port, byte
        .word   \port, \byte
        .endm

        .balign 4
setup_ports:
        write   0x20, 0x11                      # both controllers: initialise
        write   0xA0, 0x11
        write   0x21, TIMER_VECTOR              # vectors
        write   0xA1, TIMER_VECTOR + 8
        write   0x21, 4                         # how they are wired together
        write   0xA1, 2
        write   0x21, 1                         # 8086 mode
        write   0xA1, 1
        write   0x21, 0xFE                      # the timer's line only
        write   0xA1, 0xFF
        write   0x43, 0x34                      # timer 0: both bytes, rate generator
setup_ports_end:

        .balign 8
gdt:    .quad   0
        .quad   0x00CF9A000000FFFF              # 0x08: code, all of the 4 GiB
        .quad   0x00CF92000000FFFF              # 0x10: data, all of the 4 GiB
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .balign 8
idt:    .fill   TIMER_VECTOR, 8, 0
timer_gate:
        .word   0, 0x08, 0x8E00, 0              # an interrupt gate; its address is filled in above
idt_pointer:
        .word   . - idt - 1
        .long   idt

        .balign 4
fraction:
        .long   0
        .fill   64, 4, 0
stack_top:

# The parameters, appended by guest.py: 32-bit words.
parameters:
        .set    fill_pages, parameters
        .set    working_set_pages, parameters + 4
        .set    timer_divisor, parameters + 8   # of 1193182 Hz
        .set    words_per_page, parameters + 12 # that are written where a page is dirtied
        .set    segments, parameters + 16       # pairs, ended by a pair of zeros
